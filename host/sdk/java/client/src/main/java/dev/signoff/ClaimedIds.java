package dev.signoff;

import java.time.Duration;
import java.util.HashMap;
import java.util.Map;

/**
 * The approvals that this process has tried to claim: none is claimed twice. An id is kept for the lifetime that its
 * approval had left, measured by the monotonic clock, so that a change of the system's time forgets none.
 */
final class ClaimedIds {
    /** One memory for all clients of the process. */
    static final ClaimedIds OF_PROCESS = new ClaimedIds();

    /** The longest lifetime that a server accepts. */
    private static final Duration LIFETIME_MAX = Duration.ofDays(7);
    /** Clocks differ. */
    private static final Duration GRACE = Duration.ofSeconds(300);

    /** By id: when it may be forgotten, as {@link System#nanoTime} counts. */
    private final Map<String, Long> deadlines = new HashMap<>();

    /**
     * Returns false if the approval was added before and its lifetime has not passed.
     *
     * @param left how long the approval can still be claimed; negative counts as zero, and more than 7 days as 7 days
     * @param nanoTime the monotonic clock, {@link System#nanoTime}
     */
    synchronized boolean add(String id, Duration left, long nanoTime) {
        // The counter may overflow: only differences are compared.
        deadlines.values().removeIf(deadline -> deadline - nanoTime < 0);
        Duration kept = left.isNegative() ? Duration.ZERO : left.compareTo(LIFETIME_MAX) > 0 ? LIFETIME_MAX : left;
        return deadlines.putIfAbsent(id, nanoTime + kept.plus(GRACE).toNanos()) == null;
    }
}
