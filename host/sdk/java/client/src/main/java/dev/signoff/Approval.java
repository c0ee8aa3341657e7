package dev.signoff;

import dev.signoff.error.SignoffException;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.regex.Pattern;

/** An approval as the server showed it. Nothing in it is verified. */
public final class Approval {
    private static final Pattern ID = Pattern.compile("appr_[0-9a-hjkmnp-tv-z]{26}");
    private static final Pattern EXECUTION_ID = Pattern.compile("exec_[0-9a-hjkmnp-tv-z]{26}");

    private static final List<String> REQUIRED = List.of(
            "audience", "status", "requested_by", "agent", "action", "context_hash", "request_digest");
    private static final List<String> OPTIONAL = List.of("plan_hash", "reason", "comment", "approver");

    private final Body body;
    private final String id;
    private final String executionId;
    private final Instant expiresAt;

    /**
     * Reads an answer.
     *
     * @throws SignoffException {@code unreachable} if it is no approval
     */
    Approval(Body body) {
        this.body = body;
        id = body.string("id");
        if (!ID.matcher(id).matches()) {
            throw body.wrong("id");
        }
        expiresAt = body.time("expires_at");
        body.time("requested_at");
        for (String name : REQUIRED) {
            body.string(name);
        }
        for (String name : OPTIONAL) {
            body.optional(name);
        }
        executionId = executionOf(body);
    }

    private static String executionOf(Body body) {
        Object execution = body.json().get("execution");
        if (execution == null) {
            return null;
        }
        if (execution instanceof Map<?, ?> members && members.get("id") instanceof String id
                && EXECUTION_ID.matcher(id).matches()) {
            return id;
        }
        throw body.wrong("execution");
    }

    /**
     * Returns the answer exactly as it came.
     *
     * @return a JSON text
     */
    public String text() {
        return body.text();
    }

    /**
     * Returns all members, also those that this version does not know.
     *
     * @return the members of the answer, as {@link dev.signoff.json.Json#parse} reads them
     */
    public Map<String, Object> json() {
        return body.json();
    }

    /**
     * Returns the id.
     *
     * @return {@code appr_} and 26 characters
     */
    public String id() {
        return id;
    }

    /**
     * Returns the status.
     *
     * @return {@code pending}, {@code approved}, {@code rejected}, {@code executed}, {@code expired} or
     *     {@code withdrawn}
     */
    public String status() {
        return body.string("status");
    }

    /**
     * Returns whether it waits for a decision.
     *
     * @return whether the status is {@code pending}
     */
    public boolean isPending() {
        return status().equals("pending");
    }

    /**
     * Returns the deployment.
     *
     * @return its audience
     */
    public String audience() {
        return body.string("audience");
    }

    /**
     * Returns the agent.
     *
     * @return its name
     */
    public String agent() {
        return body.string("agent");
    }

    /**
     * Returns the action.
     *
     * @return its name
     */
    public String action() {
        return body.string("action");
    }

    /**
     * Returns the requester.
     *
     * @return their name
     */
    public String requestedBy() {
        return body.string("requested_by");
    }

    /**
     * Returns when it was requested.
     *
     * @return the time by the server's clock
     */
    public Instant requestedAt() {
        return body.time("requested_at");
    }

    /**
     * Returns when it expires.
     *
     * @return the time by the server's clock
     */
    public Instant expiresAt() {
        return expiresAt;
    }

    /**
     * Returns the requester's reason.
     *
     * @return the reason, or null
     */
    public String reason() {
        return body.optional("reason");
    }

    /**
     * Returns the comment of the approver who decided.
     *
     * @return the comment, or null
     */
    public String comment() {
        return body.optional("comment");
    }

    /**
     * Returns the approver who decided.
     *
     * @return their name, or null
     */
    public String approver() {
        return body.optional("approver");
    }

    /**
     * Returns the execution that claimed it.
     *
     * @return its id, or null
     */
    public String executionId() {
        return executionId;
    }

    /** Returns whether an execution has claimed it, and no outcome is known. */
    boolean isClaimed() {
        return status().equals("executed") && body.json().get("execution") instanceof Map<?, ?> execution
                && "claimed".equals(execution.get("outcome"));
    }

    /** Returns whether this is an approval for the action, by its digests. */
    boolean isFor(Action action, String contextDigest, String planDigest) {
        return agent().equals(action.agent()) && action().equals(action.name())
                && body.string("context_hash").equals(contextDigest)
                && Objects.equals(body.optional("plan_hash"), planDigest);
    }

    /** Returns id and status. */
    @Override
    public String toString() {
        return id + " " + status();
    }
}
