/** The verifier in Node, Deno and Bun: the component is a file of this package. */

import { readFile } from "node:fs/promises";

import { unusable } from "../component.js";
import { Verifier as PortableVerifier } from "../verifier.js";

const PACKAGED = new URL("../../verifier.wasm", import.meta.url);

/** The verifier; `Verifier.load()` reads the component of this package. */
export class Verifier extends PortableVerifier {
  /**
   * Loads a verifier, by default the one of this package.
   *
   * @param {import("../verifier.js").VerifierSource} [source]
   * @returns {Promise<Verifier>}
   * @throws {import("../errors.js").Unavailable} `unreachable`: it cannot be read or compiled, has
   *   another digest, or is not the verifier.
   */
  static async load(source) {
    return super.load(source ?? { bytes: await packaged() });
  }
}

async function packaged() {
  try {
    return await readFile(PACKAGED);
  } catch (cause) {
    throw unusable("`verifier.wasm` of this package cannot be read", cause);
  }
}

export { coreOf } from "../component.js";
