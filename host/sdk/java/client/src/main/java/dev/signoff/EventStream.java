package dev.signoff;

import dev.signoff.error.SignoffException;
import java.io.IOException;
import java.time.Duration;
import java.util.Map;
import java.util.concurrent.TimeoutException;
import java.util.regex.Pattern;

/**
 * The audit log as it is written. It reconnects where it was. For one thread at a time; any thread may close it.
 *
 * <pre>{@code
 * try (EventStream events = client.events("0")) {
 *     while (true) {
 *         System.out.println(events.next());
 *     }
 * }
 * }</pre>
 */
public final class EventStream implements AutoCloseable {
    private static final Call CALL = Call.get("/events", Map.of());
    private static final Pattern ID = Pattern.compile("[!-~]{1,128}");

    private final Transport transport;
    private final Duration timeout;
    private String last;
    private volatile EventReader connection;
    private volatile boolean closed;

    EventStream(Transport transport, String after, Duration timeout) {
        if (after != null && !isId(after)) {
            throw Settings.invalid("`after` is not the id of an event");
        }
        this.transport = transport;
        this.timeout = timeout;
        last = after;
    }

    static boolean isId(String text) {
        return ID.matcher(text).matches();
    }

    /**
     * Waits for the next event.
     *
     * @return the event
     * @throws SignoffException the server's refusal; {@code unreachable} if no connection could be made within the
     *     client's timeout; {@code interrupted}
     * @throws IllegalStateException if the stream is closed
     */
    public Event next() {
        Deadline deadline = Deadline.after(timeout, false);
        for (int attempt = 0; ; attempt++) {
            SignoffException failure = null;
            Duration delay = Calls.backoff(attempt);
            try {
                Event event = read(deadline);
                if (event != null) {
                    last = event.id();
                    return event;
                }
            } catch (Transport.Refused refused) {
                failure = refused.answer().refusal();
                SignoffException refusal = failure;
                delay = delay.plus(refused.answer().busyFor().orElseThrow(() -> refusal));
            } catch (TimeoutException e) {
                throw deadline.passed(null);
            } catch (IOException e) {
                if (e.getCause() instanceof InterruptedException || Thread.currentThread().isInterrupted()) {
                    throw Calls.interrupted();
                }
                failure = Calls.unreachable(e);
            } catch (InterruptedException e) {
                throw Calls.interrupted();
            }
            if (disconnect()) {
                deadline = Deadline.after(timeout, false);
                attempt = 0;
            }
            requireOpen();
            if (delay.compareTo(deadline.left()) >= 0) {
                throw deadline.passed(failure);
            }
            Calls.sleep(delay);
        }
    }

    private Event read(Deadline deadline) throws IOException, TimeoutException, InterruptedException {
        requireOpen();
        if (connection == null) {
            connection = new EventReader(transport.open(CALL, last, deadline.left()));
        }
        return connection.next();
    }

    private void requireOpen() {
        if (closed) {
            throw new IllegalStateException("the stream of events is closed");
        }
    }

    /** Returns whether the connection had worked. */
    private boolean disconnect() {
        EventReader open = connection;
        connection = null;
        if (open == null) {
            return false;
        }
        try {
            open.close();
        } catch (IOException gone) {
            // It is not used any more.
        }
        return open.hasRead();
    }

    /** Closes the connection. A thread that waits for an event gets {@link IllegalStateException}. */
    @Override
    public void close() {
        closed = true;
        disconnect();
    }
}
