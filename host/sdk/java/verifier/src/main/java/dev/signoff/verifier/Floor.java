package dev.signoff.verifier;

import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;

/**
 * The least that an executor requires of an approval, whatever the server required.
 *
 * @param threshold number of approvers, or null
 * @param groups minimum number of approvers of each group
 * @param ttl the longest lifetime, or null
 */
public record Floor(Integer threshold, Map<String, Integer> groups, Duration ttl) {
    // Copies the groups.
    public Floor {
        groups = Map.copyOf(groups);
    }

    /**
     * Requires a number of approvers.
     *
     * @param threshold 1 to 16
     * @return the floor
     */
    public static Floor ofThreshold(int threshold) {
        return new Floor(threshold, Map.of(), null);
    }

    /** Returns the floor for the verifier. */
    Map<String, Object> json() {
        Map<String, Object> json = new LinkedHashMap<>();
        json.put("threshold", threshold);
        json.put("groups", groups.isEmpty() ? null : groups);
        json.put("ttl_seconds", ttl == null ? null : ttl.toSeconds());
        json.values().removeIf(Objects::isNull);
        return json;
    }
}
