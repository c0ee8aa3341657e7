package dev.signoff;

import java.time.Duration;
import java.time.Instant;
import java.util.HashMap;
import java.util.Map;

/** The approvals that this process has tried to claim, until they expire: none is claimed twice. */
final class ClaimedIds {
    /** One memory for all clients of the process. */
    static final ClaimedIds OF_PROCESS = new ClaimedIds();

    /** Clocks differ. */
    private static final Duration GRACE = Duration.ofHours(1);

    private final Map<String, Instant> expiries = new HashMap<>();

    /** Returns false if the approval was added before and is not known to have expired. */
    synchronized boolean add(String id, Instant expiresAt, Instant now) {
        expiries.values().removeIf(expiry -> expiry.isBefore(now.minus(GRACE)));
        return expiries.putIfAbsent(id, expiresAt.isBefore(now) ? now : expiresAt) == null;
    }
}
