package dev.signoff.error;

import java.util.HashMap;
import java.util.Locale;
import java.util.Map;
import java.util.function.Function;

/** Every code with its title and its error. */
enum Codes {
    REJECTED("Rejected by an approver", RejectedException::new),
    EXPIRED("Approval has expired", ExpiredException::new),
    WITHDRAWN("Approval was withdrawn", WithdrawnException::new),
    POLICY_DENIED("Denied by policy", DeniedException::new),
    AUDIENCE_MISMATCH("Audience doesn't match approval", MismatchException::new),
    POLICY_MISMATCH("Policy doesn't match approval", MismatchException::new),
    AGENT_MISMATCH("Agent/action doesn't match approval", MismatchException::new),
    ACTION_MISMATCH("Agent/action doesn't match approval", MismatchException::new),
    CONTEXT_MISMATCH("Execution context doesn't match approval", MismatchException::new),
    PLAN_MISMATCH("Execution plan doesn't match approval", MismatchException::new),
    EXECUTION_MISMATCH("Execution id doesn't match approval", MismatchException::new),
    SIGNATURE_INVALID("Invalid signature", UnverifiedException::new),
    SIGNATURE_MALFORMED("Invalid signature format", UnverifiedException::new),
    STATEMENT_AMBIGUOUS("Ambiguous statement", UnverifiedException::new),
    KEY_UNKNOWN("Unknown key", UnverifiedException::new),
    KEY_REVOKED("Revoked key", UnverifiedException::new),
    KEY_NOT_YOURS("Key belongs to another approver", UnverifiedException::new),
    APPROVER_NOT_ALLOWED("Approver not allowed", UnverifiedException::new),
    SELF_APPROVAL("Self-approval", UnverifiedException::new),
    REQUIREMENT_TOO_WEAK("Requirement is too weak", UnverifiedException::new),
    REQUEST_TOO_OLD("Request is too old", UnverifiedException::new),
    RECEIPT_INVALID("Invalid receipt", UnverifiedException::new),
    RECEIPT_UNTRUSTED("Receipt not vouched for", UnverifiedException::new),
    UNTRUSTED_ANSWER("Answer cannot be trusted", UnverifiedException::new),
    REQUEST_INVALID("Invalid request", InvalidException::new),
    CONTEXT_INVALID("Invalid context", InvalidException::new),
    LIMIT_EXCEEDED("Limit exceeded", InvalidException::new),
    UNSUPPORTED_MEDIA_TYPE("Expected application/json", InvalidException::new),
    IDEMPOTENCY_KEY_REUSED("Idempotency key reused with another body", InvalidException::new),
    MODULE_INVALID("Invalid module", InvalidException::new),
    MANIFEST_INVALID("Invalid manifest", InvalidException::new),
    UNAUTHENTICATED("Authentication required", ForbiddenException::new),
    FORBIDDEN("Not allowed", ForbiddenException::new),
    NOT_FOUND("Approval not found", NotFoundException::new),
    ALREADY_DECIDED("Approval already decided", ConflictException::new),
    ALREADY_VOTED("Already voted", ConflictException::new),
    NOT_APPROVED("Approval not in approved state", ConflictException::new),
    ALREADY_EXECUTED("Approval already executed", ConflictException::new),
    ALREADY_SETTLED("Approval already settled", ConflictException::new),
    ALREADY_ERASED("Approval already erased", ConflictException::new),
    NOT_FINAL("Approval not final", ConflictException::new),
    REQUIREMENT_UNMEETABLE("Nobody can meet the requirement", ConflictException::new),
    VERSION_NOT_NEWER("Module version is not newer", ConflictException::new),
    RATE_LIMITED("Too many requests", UnavailableException::new),
    STORE_UNAVAILABLE("Store unavailable", UnavailableException::new),
    KEYRING_UNAVAILABLE("Keyring unavailable", UnavailableException::new),
    VERIFIER_TRAPPED("Verifier failed", UnavailableException::new),
    POLICY_TRAPPED("Policy failed", UnavailableException::new),
    CLOCK_BEHIND("Clock is behind the store", UnavailableException::new),
    CLOCK_AHEAD("Clock is ahead", UnavailableException::new),
    SETTINGS_WEAKER("Settings are weaker than recorded", UnavailableException::new),
    INTERNAL_ERROR("Internal error", UnavailableException::new),
    STORE_TAMPERED("Stored row does not match the log", UnavailableException::new),
    RECORD_UNREADABLE("Approval record unreadable", UnavailableException::new),
    UNREACHABLE("No usable answer", UnavailableException::new),
    TIMED_OUT("Time limit passed", TimedOutException::new),
    INTERRUPTED("Interrupted", SignoffException::new);

    private static final Map<String, Codes> BY_NAME = byName();

    private final String title;
    private final Function<Problem, SignoffException> exception;

    Codes(String title, Function<Problem, SignoffException> exception) {
        this.title = title;
        this.exception = exception;
    }

    /** Returns the title of a code; the code itself if this version does not know it. */
    static String title(String code) {
        Codes known = BY_NAME.get(code);
        return known == null ? code : known.title;
    }

    /** Returns the exception of a problem's code. */
    static SignoffException exception(Problem problem) {
        Codes known = BY_NAME.get(problem.code());
        return known == null ? new SignoffException(problem) : known.exception.apply(problem);
    }

    private static Map<String, Codes> byName() {
        Map<String, Codes> codes = new HashMap<>();
        for (Codes code : values()) {
            codes.put(code.name().toLowerCase(Locale.ROOT).replace('_', '-'), code);
        }
        return Map.copyOf(codes);
    }
}
