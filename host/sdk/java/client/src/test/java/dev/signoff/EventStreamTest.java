package dev.signoff;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.signoff.FakeServer.Reply;
import dev.signoff.error.ForbiddenException;
import dev.signoff.error.InvalidException;
import dev.signoff.error.UnavailableException;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.List;
import java.util.Map;
import java.util.Queue;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class EventStreamTest {
    private static Event first(String stream) throws IOException {
        try (EventReader reader =
                new EventReader(new ByteArrayInputStream(stream.getBytes(StandardCharsets.ISO_8859_1)))) {
            return reader.next();
        }
    }

    @Test
    void reads_events() throws IOException {
        assertEquals(new Event("7", "opened", "{\"a\":1}"), first(": heartbeat\n\nid: 7\nevent:opened\ndata: {\"a\":1}\n\n"));
        assertEquals(new Event("7", "message", "a\n b"), first("data: a\r\nid: 7\r\ndata:  b\r\nretry: 1\r\nother\r\n\r\n"));
        assertNull(first("data: without an id\n\n"));
        assertNull(first("id: 1\ndata: incomplete\n"));
        assertNull(first(""));
    }

    @ParameterizedTest
    @ValueSource(strings = {"id: a b\n\n", "id: \n\n", "id: 1\r2\n\n", "id: 1\ndata: \u00ff\n\n"})
    void refuses_malformed_events(String stream) {
        assertThrows(IOException.class, () -> first(stream));
    }

    @Test
    void limits_an_event() throws IOException {
        assertEquals((4 << 20) - 14, first("id: 1\ndata: " + "a".repeat((4 << 20) - 14) + "\n\n").data().length());
        assertThrows(IOException.class, () -> first("id: 1\ndata: " + "a".repeat(4 << 20) + "\n\n"));
        assertThrows(IOException.class, () -> first("id: 1\n" + "data: a\n".repeat(1 << 20) + "\n"));
    }

    @Test
    void reconnects_after_the_last_event() throws IOException {
        Queue<Reply> replies = new ArrayDeque<>(List.of(
                Reply.of(200, "id: 1\ndata: a\n\nid: 2\ndata: b\n\nid: 3\ndata: cut"),
                new Reply(0, "", Map.of()),
                Reply.problem(503, "store-unavailable", Map.of("Retry-After", "0")),
                Reply.of(200, "id: 3\ndata: c\n\n")));
        try (FakeServer server = new FakeServer(sent -> replies.remove());
                EventStream events = server.client().build().events(null)) {
            assertEquals("a", events.next().data());
            assertEquals("b", events.next().data());
            assertEquals("c", events.next().data());
            assertNull(server.seen().get(0).header("Last-event-id"));
            assertEquals("text/event-stream", server.seen().get(0).header("Accept"));
            assertEquals("2", server.seen().get(3).header("Last-event-id"));
        }
    }

    @Test
    void a_closed_stream_has_no_events() throws IOException {
        try (FakeServer server = new FakeServer(sent -> Reply.of(200, "id: 1\n\n"))) {
            EventStream events = server.client().build().events("0");
            events.close();
            assertThrows(IllegalStateException.class, events::next);
            assertEquals(List.of(), server.targets());
        }
    }

    @Test
    void ends_with_a_refusal_or_without_a_server() throws IOException {
        try (FakeServer server = new FakeServer(sent -> Reply.problem(403, "forbidden"));
                EventStream events = server.client().build().events("0")) {
            assertThrows(ForbiddenException.class, events::next);
            assertThrows(InvalidException.class, () -> server.client().build().events("a\nb"));
        }
        try (FakeServer server = new FakeServer(sent -> new Reply(0, "", Map.of()));
                EventStream events = server.client().timeout(Duration.ofMillis(300)).build().events("0")) {
            assertThrows(UnavailableException.class, events::next);
        }
    }
}
