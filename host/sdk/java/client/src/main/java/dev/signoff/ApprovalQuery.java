package dev.signoff;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;

/**
 * Which approvals to list; null members do not filter.
 *
 * @param status the status
 * @param agent the agent
 * @param action the action
 * @param limit 1 to 200 items a page, or null for 50
 * @param cursor the cursor of the page, or null for the first
 */
public record ApprovalQuery(String status, String agent, String action, Integer limit, String cursor) {
    /** Every approval that the token may read. */
    public static final ApprovalQuery ALL = new ApprovalQuery(null, null, null, null, null);

    /**
     * Returns the same query from another page on.
     *
     * @param next the cursor
     * @return the copy
     */
    public ApprovalQuery after(String next) {
        return new ApprovalQuery(status, agent, action, limit, next);
    }

    Map<String, Object> words() {
        Map<String, Object> words = new LinkedHashMap<>();
        words.put("status", status);
        words.put("agent", agent);
        words.put("action", action);
        words.put("limit", limit);
        words.put("cursor", cursor);
        words.values().removeIf(Objects::isNull);
        return words;
    }
}
