package dev.signoff.verifier;

import java.time.Instant;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/**
 * The arguments of {@link Verifier#verifyApproval}. What is not about the server's answer must come from the
 * executor's own memory and settings.
 *
 * <pre>{@code
 * new ApprovalCheck(answer, id, "prod")
 *         .attempt("deployer", "deploy", context, null)
 *         .keys(Key.parse(pinned))
 *         .now(Instant.now());
 * }</pre>
 */
public final class ApprovalCheck {
    private final Map<String, Object> args = new LinkedHashMap<>();

    /**
     * Begins a check.
     *
     * @param approval the answer of {@code GET /approvals/{id}} or of a claim, exactly as it came
     * @param id the approval that was requested
     * @param audience the deployment that the executor works for
     */
    public ApprovalCheck(String approval, String id, String audience) {
        args.put("approval", Objects.requireNonNull(approval, "approval"));
        args.put("id", Objects.requireNonNull(id, "id"));
        args.put("audience", Objects.requireNonNull(audience, "audience"));
        args.put("accept", List.of("v2"));
    }

    /**
     * Sets what is to be run.
     *
     * @param agent the agent
     * @param action the action
     * @param context the context, a JSON text
     * @param plan the plan, a JSON text, or null
     * @return this
     */
    public ApprovalCheck attempt(String agent, String action, String context, String plan) {
        Map<String, Object> attempt = new LinkedHashMap<>();
        attempt.put("agent", Objects.requireNonNull(agent, "agent"));
        attempt.put("action", Objects.requireNonNull(action, "action"));
        attempt.put("context", Objects.requireNonNull(context, "context"));
        attempt.put("plan", plan);
        attempt.values().removeIf(Objects::isNull);
        args.put("attempt", attempt);
        return this;
    }

    /**
     * Accepts an approval that this execution has claimed and not ended. Call it after {@link #attempt}.
     *
     * @param executionId the execution
     * @return this
     */
    @SuppressWarnings("unchecked")
    public ApprovalCheck execution(String executionId) {
        if (!(args.get("attempt") instanceof Map<?, ?> attempt)) {
            throw new IllegalStateException("set the attempt first");
        }
        ((Map<String, Object>) attempt).put("execution_id", Objects.requireNonNull(executionId, "executionId"));
        return this;
    }

    /**
     * Sets the keys that count.
     *
     * @param keys keys, and revoked ones, whose material then does not count under any id
     * @return this
     */
    public ApprovalCheck keys(List<Key> keys) {
        args.put("keys", keys.stream().map(Key::json).toList());
        return this;
    }

    /**
     * Sets the profiles that count; {@code v2} alone by default.
     *
     * @param profiles {@code v1} covers so little that the server is trusted for the rest
     * @return this
     */
    public ApprovalCheck accept(List<String> profiles) {
        args.put("accept", List.copyOf(profiles));
        return this;
    }

    /**
     * Sets the time.
     *
     * @param now the executor's clock
     * @return this
     */
    public ApprovalCheck now(Instant now) {
        args.put("now", now.getEpochSecond());
        return this;
    }

    /**
     * Refuses earlier requests.
     *
     * @param earliest the earliest time of a request that counts, or null
     * @return this
     */
    public ApprovalCheck requestedAfter(Instant earliest) {
        args.put("requested_after", earliest == null ? null : earliest.getEpochSecond());
        return this;
    }

    /**
     * Refuses weaker requirements.
     *
     * @param floor the least that is required, or null
     * @return this
     */
    public ApprovalCheck floor(Floor floor) {
        args.put("floor", floor == null ? null : floor.json());
        return this;
    }

    /**
     * Refuses requirements of other policies.
     *
     * @param digests digests of policies, at most 64; one of them must have set the requirement
     * @return this
     */
    public ApprovalCheck policies(List<String> digests) {
        args.put("policies", List.copyOf(digests));
        return this;
    }

    /** Returns the arguments for the verifier. */
    Map<String, Object> args() {
        return args;
    }
}
