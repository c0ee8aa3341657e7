/** The verifier in browsers: the component is beside the scripts, and must have the packaged digest. */

import { DIGEST } from "../digest.js";
import { Verifier as PortableVerifier } from "../verifier.js";

const PACKAGED = new URL("../../verifier.wasm", import.meta.url);

/** The verifier; `Verifier.load()` fetches the component of this package. */
export class Verifier extends PortableVerifier {
  /**
   * Loads a verifier, by default the one of this package. Fetched or given bytes must have the digest
   * of this package's component, unless `digest` names another.
   *
   * @param {import("../verifier.js").VerifierSource} [source]
   * @returns {Promise<Verifier>}
   * @throws {import("../errors.js").Unavailable} `unreachable`: it cannot be fetched or compiled, has
   *   another digest, or is not the verifier.
   */
  static async load(source = { url: PACKAGED }) {
    return super.load("module" in source ? source : { digest: DIGEST, ...source });
  }
}

export { coreOf } from "../component.js";
