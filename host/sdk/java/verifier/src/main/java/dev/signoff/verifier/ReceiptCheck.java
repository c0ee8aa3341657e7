package dev.signoff.verifier;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/** The arguments of {@link Verifier#verifyReceipt}: the receipt, and what the caller trusts. */
public final class ReceiptCheck {
    private final Map<String, Object> args = new LinkedHashMap<>();

    /**
     * Begins a check.
     *
     * @param receipt the receipt, exactly as it came
     * @param logKeys log keys as {@code signoff audit key} prints them; without any, the receipt is only checked
     *     for consistency
     */
    public ReceiptCheck(String receipt, List<String> logKeys) {
        args.put("receipt", Objects.requireNonNull(receipt, "receipt"));
        args.put("log_keys", List.copyOf(logKeys));
        args.put("accept", List.of("v2"));
    }

    /**
     * Requires this approval.
     *
     * @param id the approval
     * @return this
     */
    public ReceiptCheck id(String id) {
        args.put("id", id);
        return this;
    }

    /**
     * Requires this deployment.
     *
     * @param audience the deployment
     * @return this
     */
    public ReceiptCheck audience(String audience) {
        args.put("audience", audience);
        return this;
    }

    /**
     * Pins approvers' keys: they count instead of what the log says about them.
     *
     * @param keys the keys
     * @return this
     */
    public ReceiptCheck keys(List<Key> keys) {
        args.put("keys", keys.stream().map(Key::json).toList());
        return this;
    }

    /**
     * Sets the profiles that count; {@code v2} alone by default.
     *
     * @param profiles the profiles
     * @return this
     */
    public ReceiptCheck accept(List<String> profiles) {
        args.put("accept", List.copyOf(profiles));
        return this;
    }

    /**
     * Requires that the receipt's log extends, or is extended by, the log of a checkpoint.
     *
     * @param checkpoint a checkpoint that the caller holds
     * @param consistency the proof, lower-case hex; empty if both are of the same size
     * @return this
     */
    public ReceiptCheck checkpoint(String checkpoint, List<String> consistency) {
        args.put("checkpoint", checkpoint);
        args.put("consistency", consistency.isEmpty() ? null : List.copyOf(consistency));
        return this;
    }

    /** Returns the arguments for the verifier. */
    Map<String, Object> args() {
        return args;
    }
}
