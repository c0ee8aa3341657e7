package dev.signoff;

import dev.signoff.error.Problem;
import dev.signoff.error.SignoffException;
import java.time.Duration;

/**
 * When to give up.
 *
 * @param nanos {@link System#nanoTime} then
 * @param ofCaller whether the caller set the limit, so that passing it is {@code timed-out}
 */
record Deadline(long nanos, boolean ofCaller) {
    /** A limit that is never reached, and does not overflow. */
    private static final Duration LONGEST = Duration.ofDays(366);

    static Deadline after(Duration limit, boolean ofCaller) {
        Duration kept = limit.compareTo(LONGEST) > 0 ? LONGEST : limit;
        return new Deadline(System.nanoTime() + kept.toNanos(), ofCaller);
    }

    /** Returns the earlier of two; the other may be null. */
    Deadline orEarlier(Deadline other) {
        return other != null && other.nanos - nanos <= 0 ? other : this;
    }

    /** Returns the time that is left, not negative. */
    Duration left() {
        return Duration.ofNanos(Math.max(0, nanos - System.nanoTime()));
    }

    boolean hasPassed() {
        return left().isZero();
    }

    /** Returns the error of a call that this deadline ended. */
    SignoffException passed(SignoffException last) {
        if (!ofCaller && last != null) {
            return last;
        }
        SignoffException passed = ofCaller
                ? Problem.of("timed-out", "the caller's time limit passed").exception()
                : Problem.of("unreachable", "no answer within the time limit").exception();
        if (last != null) {
            passed.initCause(last);
        }
        return passed;
    }
}
