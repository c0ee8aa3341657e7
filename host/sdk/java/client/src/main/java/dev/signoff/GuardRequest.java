package dev.signoff;

import java.time.Duration;
import java.util.Map;
import java.util.Objects;

/** What {@link Client#guard} requests, and how long it waits. */
public final class GuardRequest {
    private final ApprovalRequest request;
    private Duration timeout;
    private Duration lease;

    /**
     * Makes a request.
     *
     * @param request the request for an approval
     */
    public GuardRequest(ApprovalRequest request) {
        this.request = Objects.requireNonNull(request, "request");
    }

    /**
     * Makes a request for the approval of one person, which expires after an hour.
     *
     * @param agent the agent
     * @param action the action
     * @param context the members of the context
     * @return the request
     */
    public static GuardRequest of(String agent, String action, Map<String, ?> context) {
        return of(Action.of(agent, action, context));
    }

    /**
     * Makes a request for the approval of one person, which expires after an hour.
     *
     * @param action the action
     * @return the request
     */
    public static GuardRequest of(Action action) {
        return new GuardRequest(new ApprovalRequest(action));
    }

    /**
     * Sets the reason, for approvers.
     *
     * @param text at most 4 KiB
     * @return this
     */
    public GuardRequest reason(String text) {
        request.reason(text);
        return this;
    }

    /**
     * Sets the lifetime of the approval.
     *
     * @param lifetime 1 to 604,800 whole seconds
     * @return this
     */
    public GuardRequest expiresIn(Duration lifetime) {
        request.expiresIn(lifetime);
        return this;
    }

    /**
     * Sets the number of approvers.
     *
     * @param approvers 1 to 16
     * @return this
     */
    public GuardRequest threshold(int approvers) {
        request.threshold(approvers);
        return this;
    }

    /**
     * Requires approvers of a group.
     *
     * @param name the group
     * @param approvers 1 to 16
     * @return this
     */
    public GuardRequest group(String name, int approvers) {
        request.group(name, approvers);
        return this;
    }

    /**
     * Limits the request and the wait for its decision, with their retries; otherwise until the approval expires.
     *
     * @param limit the limit; at its end the request is withdrawn
     * @return this
     */
    public GuardRequest timeout(Duration limit) {
        timeout = limit;
        return this;
    }

    /**
     * Sets how long the function may take until the server shows the outcome as unknown; 300 s by default.
     *
     * @param time 1 to 86,400 whole seconds
     * @return this
     */
    public GuardRequest lease(Duration time) {
        lease = time;
        return this;
    }

    ApprovalRequest request() {
        return request;
    }

    Duration timeout() {
        return timeout;
    }

    Duration lease() {
        return lease;
    }
}
