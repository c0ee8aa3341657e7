package dev.signoff.verifier;

import java.time.Instant;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;

/**
 * What an approver signs. Profile {@code v2} covers every field; {@code v1} covers the approval, the decision, the
 * approver and the expiry, and the others may be null.
 *
 * @param audience the deployment
 * @param keyId the signing key
 * @param approvalId the approval
 * @param requestDigest digest of the request
 * @param expiresAt the approval's expiry; fractions of a second are cut off
 * @param decision {@code approved} or {@code rejected}
 * @param approver the approver
 * @param comment the comment, empty if there is none
 */
public record Statement(
        String audience, String keyId, String approvalId, String requestDigest, Instant expiresAt, String decision,
        String approver, String comment) {

    // Requires what every profile covers.
    public Statement {
        Objects.requireNonNull(approvalId, "approvalId");
        Objects.requireNonNull(expiresAt, "expiresAt");
        Objects.requireNonNull(decision, "decision");
        Objects.requireNonNull(approver, "approver");
    }

    /**
     * Makes a statement for {@code v1}.
     *
     * @param approvalId the approval
     * @param decision {@code approved} or {@code rejected}
     * @param approver the approver
     * @param expiresAt the approval's expiry
     * @return the statement
     */
    public static Statement v1(String approvalId, String decision, String approver, Instant expiresAt) {
        return new Statement(null, null, approvalId, null, expiresAt, decision, approver, null);
    }

    /** Returns the statement for the verifier. */
    Map<String, Object> json() {
        Map<String, Object> json = new LinkedHashMap<>();
        json.put("audience", audience);
        json.put("key_id", keyId);
        json.put("approval_id", approvalId);
        json.put("request_digest", requestDigest);
        json.put("expires_at", expiresAt.getEpochSecond());
        json.put("decision", decision);
        json.put("approver", approver);
        json.put("comment", comment);
        json.values().removeIf(Objects::isNull);
        return json;
    }
}
