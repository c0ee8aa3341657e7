package dev.signoff;

import java.io.BufferedInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.net.ProtocolException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.ScheduledFuture;
import java.util.concurrent.TimeUnit;

/** Reads server-sent events from one connection. */
final class EventReader implements AutoCloseable {
    /** The server sends a heartbeat every 15 s. */
    private static final long SILENCE_SECONDS_MAX = 45;
    private static final int EVENT_BYTES_MAX = 4 << 20;

    /** Closes connections that are silent. */
    private static final ScheduledExecutorService TIMER = Executors.newSingleThreadScheduledExecutor(task -> {
        Thread thread = new Thread(task, "signoff-event-timer");
        thread.setDaemon(true);
        return thread;
    });

    private final InputStream stream;
    private int eventBytes;
    private volatile boolean hasRead;

    EventReader(InputStream stream) {
        this.stream = new BufferedInputStream(stream);
    }

    /**
     * Reads the next event; null at the end of the stream, where an incomplete event does not count.
     *
     * @throws IOException if the connection broke or was silent, or for an event that is malformed or too large
     */
    Event next() throws IOException {
        String id = null;
        String kind = "message";
        StringBuilder data = new StringBuilder();
        eventBytes = 0;
        for (String line = line(); line != null; line = line()) {
            if (line.isEmpty()) {
                if (id != null) {
                    return new Event(id, kind, data.toString());
                }
                kind = "message";
                data.setLength(0);
                eventBytes = 0;
                continue;
            }
            int colon = line.indexOf(':');
            String name = colon < 0 ? line : line.substring(0, colon);
            String value = colon < 0 ? "" : line.substring(colon + 1).replaceFirst("^ ", "");
            switch (name) {
                case "id" -> id = EventStream.isId(value) ? value : malformed();
                case "event" -> kind = value;
                case "data" -> data.append(data.isEmpty() ? "" : "\n").append(value);
                default -> { }
            }
        }
        return null;
    }

    private static String malformed() throws IOException {
        throw new ProtocolException("malformed id of an event");
    }

    private String line() throws IOException {
        ScheduledFuture<?> silence = TIMER.schedule(() -> {
            close();
            return null;
        }, SILENCE_SECONDS_MAX, TimeUnit.SECONDS);
        try {
            ByteArrayOutputStream line = new ByteArrayOutputStream();
            for (int next = stream.read(); next != '\n'; next = stream.read()) {
                if (next < 0) {
                    return null;
                }
                if (++eventBytes > EVENT_BYTES_MAX) {
                    throw new ProtocolException("an event is larger than " + EVENT_BYTES_MAX + " bytes");
                }
                line.write(next);
            }
            hasRead = true;
            String text = StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(line.toByteArray())).toString();
            return text.endsWith("\r") ? text.substring(0, text.length() - 1) : text;
        } finally {
            silence.cancel(false);
        }
    }

    /** Returns whether a line has arrived, perhaps of a heartbeat. */
    boolean hasRead() {
        return hasRead;
    }

    @Override
    public void close() throws IOException {
        stream.close();
    }
}
