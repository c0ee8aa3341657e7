package dev.signoff.verifier;

import dev.signoff.json.Json;
import java.time.Instant;
import java.util.List;
import java.util.Map;

/**
 * What an approval proves, nothing of which the server could have invented.
 *
 * @param approvalId the approval
 * @param requestDigest digest of the whole request, which the signatures cover
 * @param requestedBy the requester
 * @param requestedAt when it was requested
 * @param expiresAt when it expires
 * @param policy digest of the policy that set the requirement, or null
 * @param rule its rule, or null
 * @param context the canonical context: run exactly this
 * @param plan the canonical plan, or null
 * @param approvers who approved, by name
 * @param json all members, as the verifier returned them
 */
public record Proof(
        String approvalId,
        String requestDigest,
        String requestedBy,
        Instant requestedAt,
        Instant expiresAt,
        String policy,
        String rule,
        String context,
        String plan,
        List<Approver> approvers,
        Map<String, Object> json) {

    /**
     * Someone whose approval counts.
     *
     * @param approver the name
     * @param keyId the key that signed
     * @param groups the groups of the given key
     * @param profile {@code v1} or {@code v2}
     * @param algorithm {@code ed25519} or {@code hmac-sha256}
     */
    public record Approver(String approver, String keyId, List<String> groups, String profile, String algorithm) {
        // Copies the groups.
        public Approver {
            groups = List.copyOf(groups);
        }
    }

    // Copies the approvers.
    public Proof {
        approvers = List.copyOf(approvers);
    }

    /**
     * Returns the context as values.
     *
     * @return its members, as {@link Json#parse} reads them
     */
    public Map<String, Object> contextValues() {
        return Json.parseObject(context);
    }

    static Proof of(Map<String, Object> json) {
        List<Approver> approvers = ((List<?>) json.get("approvers")).stream().map(Proof::approver).toList();
        return new Proof(text(json, "approval_id"), text(json, "request_digest"), text(json, "requested_by"),
                time(json, "requested_at"), time(json, "expires_at"), text(json, "policy"), text(json, "rule"),
                text(json, "context"), text(json, "plan"), approvers, json);
    }

    private static Approver approver(Object item) {
        Map<?, ?> json = (Map<?, ?>) item;
        List<String> groups = ((List<?>) json.get("groups")).stream().map(String.class::cast).toList();
        return new Approver(text(json, "approver"), text(json, "key_id"), groups, text(json, "profile"),
                text(json, "algorithm"));
    }

    private static String text(Map<?, ?> json, String name) {
        return (String) json.get(name);
    }

    private static Instant time(Map<?, ?> json, String name) {
        return Instant.parse(text(json, name));
    }
}
