// Calls the verifier's core module through `wire`, with only `WebAssembly`.

const CALL = "signoff:approval/wire@0.1.0#call";

export class Verifier {
  #exports;

  constructor(bytes) {
    const module = new WebAssembly.Module(bytes);
    const imports = WebAssembly.Module.imports(module);
    if (imports.length !== 0) {
      throw new Error(`the module imports ${JSON.stringify(imports)}; it must import nothing`);
    }
    this.#exports = new WebAssembly.Instance(module, {}).exports;
    for (const name of ["memory", "cabi_realloc", CALL, `cabi_post_${CALL}`]) {
      if (!(name in this.#exports)) throw new Error(`the module does not export \`${name}\``);
    }
  }

  // Returns the answer to a request; both are JSON texts.
  call(request) {
    return this.callBytes(new TextEncoder().encode(request));
  }

  // Like `call`, but for the request's bytes, which need not be UTF-8.
  callBytes(bytes) {
    const exports = this.#exports;
    // Pointers are u32, which JavaScript shows as negative numbers past 2 GiB.
    const sent = exports.cabi_realloc(0, 0, 1, bytes.length) >>> 0;
    new Uint8Array(exports.memory.buffer, sent, bytes.length).set(bytes);
    const result = exports[CALL](sent, bytes.length) >>> 0;
    // The call may have grown the memory, which detaches every buffer from before.
    const view = new DataView(exports.memory.buffer);
    const [at, length] = [view.getUint32(result, true), view.getUint32(result + 4, true)];
    const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
    const answer = strict.decode(new Uint8Array(exports.memory.buffer, at, length));
    exports[`cabi_post_${CALL}`](result);
    return answer;
  }
}
