package dev.signoff;

import dev.signoff.verifier.Floor;
import dev.signoff.verifier.Key;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;

/**
 * What an executor trusts: its own settings, none of which comes from a server.
 *
 * @param keys the pinned keys; null if the server is trusted
 * @param audience the deployment
 * @param accept the profiles that count; null if unset, which stands for {@code v2} alone
 * @param floor the least that is required, or null
 * @param policies digests of the policies that may set requirements, or null
 * @param allowHmac whether HMAC keys count
 */
record Trust(
        List<Key> keys, String audience, List<String> accept, Floor floor, List<String> policies, boolean allowHmac) {

    boolean isPinned() {
        return keys != null;
    }

    /**
     * Requires that the settings are complete.
     *
     * @throws dev.signoff.error.InvalidException if keys are pinned without an audience, if something is required
     *     that nothing enforces without keys, or if the floor has a number that no requirement has
     */
    void requireComplete() {
        if (isPinned() && audience == null) {
            throw Settings.invalid("pinned keys need an audience: set SIGNOFF_AUDIENCE");
        }
        if (!isPinned() && (floor != null || accept != null || policies != null || allowHmac)) {
            throw Settings.invalid("floor, accept, policies or allowHmac needs keys: pin them, or set SIGNOFF_KEYS");
        }
        if (floor != null && !isPossible(floor)) {
            throw Settings.invalid("the floor's threshold, groups and ttl in seconds must be whole numbers from 1");
        }
    }

    private static boolean isPossible(Floor floor) {
        return (floor.threshold() == null || floor.threshold() >= 1)
                && floor.groups().values().stream().allMatch(least -> least >= 1)
                && (floor.ttl() == null || floor.ttl().toSeconds() >= 1);
    }

    /** Returns the profiles that count. */
    List<String> accepted() {
        return accept == null ? List.of("v2") : accept;
    }

    /** Returns the pinned keys that count, made stricter by what the server says about them. */
    List<Key> strictest(List<Key> ofServer) {
        List<Key> kept = new ArrayList<>();
        for (Key pinned : keys) {
            if (allowHmac || !pinned.algorithm().equals("hmac-sha256")) {
                kept.add(stricter(pinned, ofServer));
            }
        }
        return kept;
    }

    private static Key stricter(Key pinned, List<Key> ofServer) {
        Key key = pinned;
        for (Key shown : ofServer) {
            if (!shown.id().equals(key.id()) && !shown.material().equals(key.material())) {
                continue;
            }
            if (shown.status().equals("revoked")) {
                key = key.withStatus("revoked");
            }
            Set<String> both = new HashSet<>(key.groups());
            both.retainAll(shown.groups());
            key = key.withGroups(key.groups().stream().filter(both::contains).toList());
        }
        return key;
    }
}
