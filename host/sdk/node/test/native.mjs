// The values that `host/sdk/values.json` describes, as JavaScript has them. Also used in the browser.

const KINDS = {
  null: () => null,
  true: () => true,
  false: () => false,
  int: Number,
  bigint: BigInt,
  float: Number,
  string: (text) => text,
  utf16: (hex) => String.fromCharCode(...hex.match(/.{4}/g).map((unit) => parseInt(unit, 16))),
  bytes: (hex) => Uint8Array.from(hex.match(/../g), (byte) => parseInt(byte, 16)),
  list: (items) => items.map((item) => nativeOf(item)),
  map: (pairs) => Object.fromEntries(pairs.map(([key, value]) => [key, nativeOf(value)])),
  datetime: ([year, month, day, hour, minute, second]) => new Date(Date.UTC(year, month - 1, day, hour, minute, second)),
  undefined: () => undefined,
  function: () => () => 1,
  symbol: () => Symbol("s"),
  sparse: () => [1, , 2],
  "es-map": () => new Map([["a", 1]]),
  "es-set": () => new Set([1]),
  cycle: () => {
    const list = [];
    list.push(list);
    return list;
  },
  nested: (depth) => {
    let list = [];
    for (let level = 1; level < depth; level++) list = [list];
    return list;
  },
};

/** Returns the value that a row describes; `rawJson` makes the raw ones. */
export function nativeOf(native, rawJson) {
  const [[kind, value]] = Object.entries(native);
  if (kind === "raw") return rawJson(value);
  return KINDS[kind](value);
}

/**
 * Checks a row, and returns what is wrong, or null. A refusal must name the path if the row does.
 */
export function checkRow(row, { verifier, rawJson }) {
  const { canonical, refused } = { canonical: row.canonical, refused: row.refused, ...replaced(row) };
  let found;
  try {
    found = verifier.canonicalize({ v: nativeOf(row.native, rawJson) });
  } catch (error) {
    if (refused === undefined) return `${row.name}: refused: ${error}`;
    if (error.code !== "context-invalid") return `${row.name}: the code is ${error.code}`;
    return refused === "" || error.path?.startsWith(refused) ? null : `${row.name}: the path is ${error.path}`;
  }
  if (refused !== undefined) return `${row.name}: not refused but ${found}`;
  return canonical === null || found === canonical ? null : `${row.name}: expected ${canonical}, found ${found}`;
}

function replaced({ node }) {
  if (node === undefined) return {};
  return { canonical: undefined, refused: undefined, ...node };
}

export function isForNode({ only }) {
  return only === undefined || only.includes("node");
}
