/**
 * The errors of the SDK. A code has one class, whether the server or the verifier in this process
 * raised it.
 */

/**
 * @typedef {object} ErrorFields
 * @property {string} code The stable code.
 * @property {string} [title] The title of the code.
 * @property {string} [detail] The reason of this refusal.
 * @property {number} [status] The HTTP status; 0 if no server answered.
 * @property {string | null} [requestId] The server's id of the request.
 * @property {string | null} [approvalId] The approval that the error is about, if known.
 * @property {string | null} [comment] What the person or policy that refused said.
 * @property {string | null} [approver] Who refused, if it is a person.
 * @property {string[]} [members] JSON pointers to what differs.
 * @property {unknown} [cause] The error behind this one.
 */

/** How much of a comment a message shows, in UTF-16 code units. */
const COMMENT_MAX = 1000;

/**
 * The base of all errors. Texts of a server or a person are untrusted: `message` shows them, also the
 * comment of who refused, in one line without control characters. The other members have them as they came.
 */
export class SignoffError extends Error {
  /** @param {ErrorFields} fields */
  constructor(fields) {
    const { code, title = "", detail = "", status = 0, requestId = null, approvalId = null, comment, cause } = fields;
    const said = comment && comment !== detail ? `: ${printable(comment, COMMENT_MAX)}` : "";
    super(`${printable(code, 64)}: ${printable(detail || title)}${said}`, cause === undefined ? undefined : { cause });
    this.name = new.target.name;
    /** The stable code, such as `context-mismatch`. */
    this.code = code;
    /** The title of the code. */
    this.title = title;
    /** The reason of this refusal. Untrusted text if a server answered. */
    this.detail = detail;
    /** The HTTP status; 0 if no server answered. */
    this.status = status;
    /** The server's id of the request, or null. */
    this.requestId = requestId;
    /** The approval that the error is about, or null. */
    this.approvalId = approvalId;
  }
}

/** The action is not approved. */
export class NotApproved extends SignoffError {
  /** @param {ErrorFields} fields */
  constructor(fields) {
    super(fields);
    /** What the person or policy that refused said, or null. Untrusted text. */
    this.comment = fields.comment ?? null;
    /** The approver who rejected, as the server says, or null. Untrusted text. */
    this.approver = fields.approver ?? null;
  }
}

/** An approver said no; `comment` is theirs. */
export class Rejected extends NotApproved {}
/** The approval expired before it was used. */
export class Expired extends NotApproved {}
/** The request was withdrawn. */
export class Withdrawn extends NotApproved {}
/** The policy denies the action; `comment` is the policy's reason. */
export class Denied extends NotApproved {}

/** What is about to run is not what was approved. */
export class Mismatch extends SignoffError {
  /** @param {ErrorFields} fields */
  constructor(fields) {
    super(fields);
    /** JSON pointers to what differs, such as `/replicas`; empty if not known. */
    this.members = fields.members ?? [];
  }
}

/** A signature, a key or an answer of the server cannot be trusted. */
export class Unverified extends SignoffError {}

/** The caller's mistake: a malformed argument or request. */
export class Invalid extends SignoffError {
  /** @param {ErrorFields & { path?: string | null }} fields */
  constructor(fields) {
    super(fields);
    /** The path of a value that the encoder refused, such as `v.items[2]`, or null. */
    this.path = fields.path ?? null;
  }
}

/** The token is missing, unknown, or lacks a role. */
export class Forbidden extends SignoffError {}
/** There is no such approval, or the caller may not read it. */
export class NotFound extends SignoffError {}
/** The approval is not in a state that allows this. */
export class Conflict extends SignoffError {}
/** No usable answer; a later try may succeed. */
export class Unavailable extends SignoffError {}
/** The caller's own time limit ended. */
export class TimedOut extends SignoffError {}
/** The verifier in this process trapped. It never means that something is valid. */
export class VerifierTrapped extends Unavailable {}

/** A refusal of the verifier in this process, by `Verifier.call` and the methods on it. */
export class Rejection extends SignoffError {
  /**
   * @param {string} code
   * @param {string} message The verifier's sentence; it contains no secrets.
   */
  constructor(code, message) {
    super({ code, detail: message });
    this.message = message;
  }
}

/** @type {[new (fields: ErrorFields) => SignoffError, string][]} */
const FAMILIES = [
  [Rejected, "rejected"],
  [Expired, "expired"],
  [Withdrawn, "withdrawn"],
  [Denied, "policy-denied"],
  [
    Mismatch,
    "audience-mismatch policy-mismatch agent-mismatch action-mismatch context-mismatch plan-mismatch " +
      "execution-mismatch",
  ],
  [
    Unverified,
    "signature-invalid signature-malformed statement-ambiguous key-unknown key-revoked key-not-yours " +
      "approver-not-allowed self-approval requirement-too-weak request-too-old receipt-invalid receipt-untrusted " +
      "untrusted-answer",
  ],
  [
    Invalid,
    "request-invalid context-invalid limit-exceeded unsupported-media-type idempotency-key-reused module-invalid " +
      "manifest-invalid",
  ],
  [Forbidden, "unauthenticated forbidden"],
  [NotFound, "not-found"],
  [
    Conflict,
    "already-decided already-voted not-approved already-executed already-settled already-erased not-final " +
      "requirement-unmeetable version-not-newer",
  ],
  [
    Unavailable,
    "rate-limited store-unavailable keyring-unavailable verifier-trapped policy-trapped clock-behind clock-ahead " +
      "settings-weaker internal-error store-tampered record-unreadable unreachable",
  ],
  [TimedOut, "timed-out"],
];

const CLASSES = new Map(FAMILIES.flatMap(([family, codes]) => codes.split(" ").map((code) => [code, family])));

/**
 * Returns the error of a code: an instance of its class, or of `SignoffError` for an unknown code.
 *
 * @param {ErrorFields} fields
 * @returns {SignoffError}
 */
export function errorOf(fields) {
  return new (CLASSES.get(fields.code) ?? SignoffError)(fields);
}

/**
 * Returns an untrusted text in one line: control, format and separator characters and lone
 * surrogates become `\u{…}`, and a longer text is cut.
 *
 * @param {string} text
 * @param {number} [limit] The number of UTF-16 code units shown.
 * @returns {string}
 */
export function printable(text, limit = 500) {
  const shown = text.length > limit ? `${text.slice(0, limit)}…` : text;
  return shown.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, (found) => `\\u{${found.codePointAt(0)?.toString(16)}}`);
}
