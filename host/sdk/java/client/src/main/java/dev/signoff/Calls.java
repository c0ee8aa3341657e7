package dev.signoff;

import dev.signoff.error.Problem;
import dev.signoff.error.SignoffException;
import java.io.IOException;
import java.time.Duration;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import javax.net.ssl.SSLException;

/** Repeats a request while its connection fails, or the server is busy and says when to come back. */
final class Calls {
    private static final Duration BACKOFF_FIRST = Duration.ofMillis(100);
    private static final Duration BACKOFF_MAX = Duration.ofSeconds(5);

    private final Transport transport;

    Calls(Transport transport) {
        this.transport = transport;
    }

    /**
     * Returns the object of a successful answer.
     *
     * @throws SignoffException the server's refusal; {@code unreachable} if no usable answer came in time;
     *     {@code timed-out} if the caller's limit passed; {@code interrupted}
     */
    Body send(Call call, Deadline deadline) {
        SignoffException last = null;
        for (int attempt = 0; !deadline.hasPassed(); attempt++) {
            Duration delay = Duration.ZERO;
            try {
                Answer answer = transport.send(call, deadline.left());
                if (answer.isSuccess()) {
                    return answer.object();
                }
                last = answer.refusal();
                SignoffException refusal = last;
                delay = answer.busyFor().orElseThrow(() -> refusal);
            } catch (TimeoutException e) {
                break;
            } catch (SSLException | Transport.TooLarge | WrongUser e) {
                throw unreachable(e);
            } catch (IOException e) {
                last = unreachable(e);
            } catch (InterruptedException e) {
                throw interrupted();
            }
            delay = delay.plus(backoff(attempt));
            if (delay.compareTo(deadline.left()) >= 0) {
                break;
            }
            sleep(delay);
        }
        throw deadline.passed(last);
    }

    /** Sleeps. */
    static void sleep(Duration delay) {
        try {
            TimeUnit.NANOSECONDS.sleep(delay.toNanos());
        } catch (InterruptedException e) {
            throw interrupted();
        }
    }

    Transport transport() {
        return transport;
    }

    /** Returns half to all of the delay: others wait too. */
    static Duration backoff(int attempt) {
        long whole = Math.min(BACKOFF_FIRST.toNanos() << Math.min(attempt, 10), BACKOFF_MAX.toNanos());
        return Duration.ofNanos(ThreadLocalRandom.current().nextLong(whole / 2, whole + 1));
    }

    /** Returns the error of a connection that failed. */
    static SignoffException unreachable(IOException cause) {
        String why = cause.getMessage() == null ? cause.getClass().getSimpleName() : cause.getMessage();
        SignoffException error = Problem.of("unreachable", "no usable answer of the server: " + why).exception();
        error.initCause(cause);
        return error;
    }

    /** Returns the error of an interrupted thread, which stays interrupted. */
    static SignoffException interrupted() {
        Thread.currentThread().interrupt();
        return Problem.of("interrupted", "the calling thread was interrupted").exception();
    }
}
