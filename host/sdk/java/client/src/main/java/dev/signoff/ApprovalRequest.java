package dev.signoff;

import dev.signoff.json.RawJson;
import dev.signoff.verifier.Floor;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;

/** A request for an approval: an action, and who must approve it. */
public final class ApprovalRequest {
    /** The server's lifetime of a request that names none. */
    private static final Duration LIFETIME_DEFAULT = Duration.ofHours(1);

    private final Action action;
    private final Map<String, Integer> groups = new TreeMap<>();
    private String reason;
    private Duration expiresIn;
    private Integer threshold;

    /**
     * Makes a request for the approval of one person, which expires after an hour.
     *
     * @param action the action
     */
    public ApprovalRequest(Action action) {
        this.action = Objects.requireNonNull(action, "action");
    }

    /**
     * Sets the reason, for approvers.
     *
     * @param text at most 4 KiB
     * @return this
     */
    public ApprovalRequest reason(String text) {
        reason = text;
        return this;
    }

    /**
     * Sets the lifetime.
     *
     * @param lifetime 1 to 604,800 whole seconds
     * @return this
     */
    public ApprovalRequest expiresIn(Duration lifetime) {
        expiresIn = lifetime;
        return this;
    }

    /**
     * Sets the number of approvers.
     *
     * @param approvers 1 to 16
     * @return this
     */
    public ApprovalRequest threshold(int approvers) {
        threshold = approvers;
        return this;
    }

    /**
     * Requires approvers of a group.
     *
     * @param name the group
     * @param approvers 1 to 16
     * @return this
     */
    public ApprovalRequest group(String name, int approvers) {
        groups.put(name, approvers);
        return this;
    }

    Action action() {
        return action;
    }

    /**
     * Returns a copy in which nothing is weaker than the floor: the higher threshold, the higher minimum of each
     * group, and the shorter lifetime. What neither sets stays unset.
     */
    ApprovalRequest atLeast(Floor floor) {
        ApprovalRequest merged = new ApprovalRequest(action).reason(reason).expiresIn(expiresIn);
        merged.threshold = threshold;
        merged.groups.putAll(groups);
        if (floor == null) {
            return merged;
        }
        if (floor.threshold() != null) {
            merged.threshold = threshold == null ? floor.threshold() : Math.max(threshold, floor.threshold());
        }
        floor.groups().forEach((name, least) -> merged.groups.merge(name, least, Math::max));
        Duration longest = floor.ttl();
        if (longest != null && longest.compareTo(expiresIn == null ? LIFETIME_DEFAULT : expiresIn) < 0) {
            merged.expiresIn = longest;
        }
        return merged;
    }

    /** Returns the members of the body, with the texts of an action in canonical form. */
    Map<String, Object> members(Action canonical) {
        Map<String, Object> members = membersOf(canonical);
        members.put("reason", reason);
        members.put("expires_in_seconds", expiresIn == null ? null : expiresIn.toSeconds());
        Map<String, Object> requirement = new LinkedHashMap<>();
        requirement.put("threshold", threshold);
        requirement.put("groups", groups.isEmpty() ? null : groups);
        requirement.values().removeIf(Objects::isNull);
        members.put("requirement", requirement.isEmpty() ? null : requirement);
        members.values().removeIf(Objects::isNull);
        return members;
    }

    /** Returns agent, action, context and plan as members of a body. */
    static Map<String, Object> membersOf(Action action) {
        Map<String, Object> members = new LinkedHashMap<>();
        members.put("agent", action.agent());
        members.put("action", action.name());
        members.put("context", new RawJson(action.context()));
        if (action.plan() != null) {
            members.put("plan", new RawJson(action.plan()));
        }
        return members;
    }
}
