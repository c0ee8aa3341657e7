package dev.signoff.error;

import java.io.Serializable;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;

/**
 * What an error says.
 *
 * @param code stable; one of wit/codes.md, or {@code rejected}, {@code withdrawn}, {@code untrusted-answer},
 *     {@code unreachable}, {@code timed-out} or {@code interrupted}
 * @param title the title of the code
 * @param detail the reason of this error
 * @param status the HTTP status, 0 if no server answered
 * @param requestId the id under which the server logged the request, or null
 * @param approvalId the approval that was requested, or null
 * @param comment the comment of the approver who rejected, or the policy's reason, or null
 * @param members JSON pointers to what differs from what was approved, if known
 */
public record Problem(
        String code,
        String title,
        String detail,
        int status,
        String requestId,
        String approvalId,
        String comment,
        List<String> members)
        implements Serializable {

    // Copies the members.
    public Problem {
        Objects.requireNonNull(code, "code");
        Objects.requireNonNull(title, "title");
        Objects.requireNonNull(detail, "detail");
        // A list of the JDK that can be serialized.
        members = List.copyOf(members);
    }

    /**
     * Returns a problem that no server reported.
     *
     * @param code the code
     * @param detail the reason
     * @return the problem, with the title of its code
     */
    public static Problem of(String code, String detail) {
        return new Problem(code, Codes.title(code), detail, 0, null, null, null, List.of());
    }

    /**
     * Returns the same problem of an approval.
     *
     * @param id the approval
     * @return the copy
     */
    public Problem about(String id) {
        return new Problem(code, title, detail, status, requestId, id, comment, members);
    }

    /**
     * Returns the same problem with a comment.
     *
     * @param text the comment of an approver or policy, or null
     * @return the copy
     */
    public Problem commented(String text) {
        return new Problem(code, title, detail, status, requestId, approvalId, text, members);
    }

    /**
     * Returns the exception of this problem's code.
     *
     * @return the exception; {@link SignoffException} itself for a code that this version does not know
     */
    public SignoffException exception() {
        return Codes.exception(this);
    }

    /** Returns code, detail, comment and request id on one line. */
    String line() {
        List<String> parts = new ArrayList<>(List.of(code, detail));
        if (comment != null && !comment.isEmpty() && !comment.equals(detail)) {
            parts.add(comment);
        }
        parts.replaceAll(Printable::of);
        String line = String.join(": ", parts);
        return requestId == null ? line : line + " (request " + Printable.of(requestId) + ")";
    }
}
