package dev.signoff;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.signoff.FakeServer.Reply;
import dev.signoff.error.ConflictException;
import dev.signoff.error.DeniedException;
import dev.signoff.error.ForbiddenException;
import dev.signoff.error.InvalidException;
import dev.signoff.error.MismatchException;
import dev.signoff.error.SignoffException;
import dev.signoff.error.TimedOutException;
import dev.signoff.error.UnavailableException;
import dev.signoff.error.UnverifiedException;
import java.io.IOException;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Queue;
import java.util.concurrent.CountDownLatch;
import org.junit.jupiter.api.Test;

class ClientTest {
    private static final String ID = "appr_01k7s2e3m8q4w6x9y0z1a2b3c4";
    private static final String VIEW = """
            {"id":"%s","audience":"prod","status":"approved","requested_by":"agent:a","requested_at":"2025-10-17T10:30:00Z",
             "expires_at":"2025-10-17T11:30:00Z","agent":"a","action":"b","context_hash":"c","request_digest":"d",
             "execution":null,"of_tomorrow":{"a":1}}
            """.formatted(ID);
    private static final Action ACTION = Action.of("a", "b", Map.of("n", 1));

    /** Answers in this order; then the last answer again. */
    private static FakeServer answering(Reply... replies) throws IOException {
        Queue<Reply> queue = new ArrayDeque<>(List.of(replies));
        return new FakeServer(sent -> queue.size() > 1 ? queue.poll() : queue.peek());
    }

    @Test
    void sends_the_token_and_keeps_unknown_members() throws IOException {
        try (FakeServer server = answering(Reply.of(200, VIEW))) {
            Approval shown = server.client().build().get(ID);
            assertEquals(VIEW, shown.text());
            assertEquals(Map.of("a", 1L), shown.json().get("of_tomorrow"));
            assertEquals("Bearer secret-token", server.seen().get(0).header("Authorization"));
            assertEquals("/api/v1/approvals/" + ID, server.seen().get(0).path());
            assertNull(server.seen().get(0).header("Idempotency-key"));
        }
    }

    @Test
    void repeats_with_the_same_key_after_a_lost_answer_and_while_busy() throws IOException {
        Map<String, String> soon = Map.of("Retry-After", "0");
        try (FakeServer server = answering(new Reply(0, "", Map.of()), Reply.problem(503, "store-unavailable", soon),
                Reply.problem(429, "rate-limited", soon), Reply.of(201, VIEW))) {
            Client client = server.client().build();
            client.request(new ApprovalRequest(ACTION));
            client.withIdempotencyKey("of the caller").request(new ApprovalRequest(ACTION));
            List<String> keys = server.seen().stream().map(sent -> sent.header("Idempotency-key")).toList();
            assertEquals(5, keys.size());
            assertEquals(1, keys.subList(0, 4).stream().distinct().count());
            assertEquals("of the caller", keys.get(4));
            assertEquals("{\"agent\": \"a\", \"action\": \"b\", \"context\": {\"n\": 1}}", server.seen().get(0).body());
        }
    }

    @Test
    void does_not_repeat_other_refusals() throws IOException {
        Map<Reply, Class<? extends SignoffException>> refusals = new HashMap<>();
        refusals.put(Reply.problem(403, "forbidden"), ForbiddenException.class);
        refusals.put(Reply.problem(401, "unauthenticated"), ForbiddenException.class);
        refusals.put(Reply.problem(409, "already-decided"), ConflictException.class);
        refusals.put(Reply.problem(503, "store-unavailable"), UnavailableException.class);
        refusals.put(Reply.problem(503, "policy-trapped", Map.of("Retry-After", "soon")), UnavailableException.class);
        refusals.put(Reply.problem(500, "internal-error", Map.of("Retry-After", "0")), UnavailableException.class);
        refusals.put(Reply.problem(403, "a-code-of-tomorrow"), SignoffException.class);
        for (Map.Entry<Reply, Class<? extends SignoffException>> refusal : refusals.entrySet()) {
            try (FakeServer server = answering(refusal.getKey())) {
                Client client = server.client().build();
                SignoffException error = assertThrows(SignoffException.class, () -> client.get(ID));
                assertEquals(refusal.getValue(), error.getClass());
                assertEquals(refusal.getKey().status(), error.status());
                assertEquals("said by the test", error.detail());
                assertEquals(1, server.seen().size());
            }
        }
    }

    @Test
    void errors_carry_what_the_server_says() throws IOException {
        String mismatch = "{\"code\":\"context-mismatch\",\"title\":\"t\",\"detail\":\"d\",\"members\":[\"/a\",1,\"/b/c\"]}";
        String denied = "{\"code\":\"policy-denied\",\"detail\":\"never on Fridays\"}";
        try (FakeServer server = answering(new Reply(403, mismatch, Map.of("X-Request-Id", "r-1")),
                new Reply(403, denied, Map.of("X-Request-Id", "not an\tid")))) {
            Client client = server.client().build();
            MismatchException differs = assertThrows(MismatchException.class, () -> client.get(ID));
            assertEquals(List.of("/a", "/b/c"), differs.members());
            assertEquals("r-1", differs.requestId());
            DeniedException no = assertThrows(DeniedException.class, () -> client.get(ID));
            assertEquals("never on Fridays", no.comment());
            assertNull(no.requestId());
        }
    }

    @Test
    void unusable_answers_are_unavailable() throws IOException {
        String[] texts = {"", "null", "[]", "{", "{\"id\":1}", "\ufeff" + VIEW, VIEW + "x", "<html>",
            VIEW.replace("\"agent\":\"a\",", ""), VIEW.replace("2025-10-17T11:30:00Z", "soon"),
            VIEW.replace(ID, "appr_../../x"), VIEW.replace("\"execution\":null", "\"execution\":{\"id\":\"x\"}"),
            VIEW.replace("\"agent\"", "\"id\":\"" + ID + "\",\"agent\""), "[".repeat(100_000)};
        for (String text : texts) {
            try (FakeServer server = answering(Reply.of(200, text))) {
                Client client = server.client().build();
                UnavailableException error = assertThrows(UnavailableException.class, () -> client.get(ID), text);
                assertEquals("unreachable", error.code());
                assertEquals(1, server.seen().size());
            }
        }
        for (int status : new int[] {204, 302, 404, 502}) {
            try (FakeServer server = answering(Reply.of(status, status == 204 ? "" : "<html>"))) {
                Client client = server.client().build();
                assertThrows(UnavailableException.class, () -> client.get(ID));
            }
        }
    }

    @Test
    void answers_over_16_mib_are_refused() throws IOException {
        String most = VIEW.replace("\"of_tomorrow\"", " ".repeat((16 << 20) - VIEW.length()) + "\"of_tomorrow\"");
        try (FakeServer server = answering(Reply.of(200, most), Reply.of(200, most + " "))) {
            Client client = server.client().build();
            assertEquals(16 << 20, client.get(ID).text().length());
            UnavailableException error = assertThrows(UnavailableException.class, () -> client.get(ID));
            assertTrue(error.detail().contains("larger than"), error.detail());
            assertEquals(2, server.seen().size());
        }
    }

    @Test
    void redirects_are_not_followed() throws IOException {
        try (FakeServer elsewhere = answering(Reply.of(200, VIEW));
                FakeServer server = answering(new Reply(307, "", Map.of("Location", elsewhere.url())))) {
            Client client = server.client().build();
            assertThrows(UnavailableException.class, () -> client.get(ID));
            assertEquals(List.of(), elsewhere.targets());
        }
    }

    @Test
    void a_call_ends_at_the_clients_timeout() throws IOException {
        CountDownLatch never = new CountDownLatch(1);
        try (FakeServer server = new FakeServer(sent -> {
            never.await();
            return Reply.of(200, VIEW);
        })) {
            Client client = server.client().timeout(Duration.ofMillis(100)).build();
            assertEquals("unreachable", assertThrows(UnavailableException.class, () -> client.get(ID)).code());
            Thread.currentThread().interrupt();
            SignoffException error = assertThrows(SignoffException.class, () -> client.get(ID));
            assertEquals("interrupted", error.code());
            assertTrue(Thread.interrupted());
        }
        try (FakeServer server = answering(Reply.problem(503, "store-unavailable", Map.of("Retry-After", "3600")))) {
            Client client = server.client().build();
            assertEquals("store-unavailable", assertThrows(UnavailableException.class, () -> client.get(ID)).code());
        }
        Client nowhere = Client.builder().url("http://127.0.0.1:1").timeout(Duration.ofMillis(300)).build();
        assertEquals("unreachable", assertThrows(UnavailableException.class, () -> nowhere.get(ID)).code());
    }

    @Test
    void another_approval_is_no_answer() throws IOException {
        String other = "appr_01k7s2e3m8q4w6x9y0z1a2b3c5";
        try (FakeServer server = answering(Reply.of(200, VIEW))) {
            Client client = server.client().build();
            assertEquals("untrusted-answer", assertThrows(UnverifiedException.class, () -> client.get(other)).code());
        }
    }

    @Test
    void a_wait_ends_with_the_decision_or_at_its_limit() throws IOException {
        String pending = VIEW.replace("approved", "pending").replace("2025-10-17T11", "2099-10-17T11");
        try (FakeServer server = answering(Reply.of(200, pending), Reply.of(200, VIEW))) {
            Client client = server.client().build();
            assertEquals("approved", client.wait(ID).status());
            assertTrue(server.seen().get(0).path().endsWith("?wait=50&while=pending"));
        }
        try (FakeServer server = answering(Reply.of(200, pending))) {
            Client client = server.client().build();
            assertThrows(TimedOutException.class, () -> client.wait(ID, Duration.ofMillis(50)));
        }
        // Past its expiry, whatever the server says.
        try (FakeServer server = answering(Reply.of(200, VIEW.replace("approved", "pending")))) {
            assertTrue(server.client().build().wait(ID).isPending());
        }
    }

    @Test
    void lists_pages() throws IOException {
        String page = "{\"items\":[" + VIEW + "],\"next_cursor\":\"next\"}";
        try (FakeServer server = answering(Reply.of(200, page), Reply.of(200, "{\"items\":[1],\"next_cursor\":null}"))) {
            Client client = server.client().build();
            ApprovalPage first = client.list(new ApprovalQuery("approved", "a b", null, 10, null));
            assertEquals(List.of(ID), first.items().stream().map(Approval::id).toList());
            assertEquals("/api/v1/approvals?status=approved&agent=a%20b&limit=10", server.seen().get(0).path());
            ApprovalQuery next = ApprovalQuery.ALL.after(first.nextCursor());
            assertThrows(UnavailableException.class, () -> client.list(next));
        }
    }

    @Test
    void ids_cannot_change_the_route() throws IOException {
        try (FakeServer server = answering(Reply.problem(404, "not-found"))) {
            Client client = server.client().build();
            assertThrows(SignoffException.class, () -> client.get("../keys?a=b#c"));
            assertEquals("/api/v1/approvals/..%2Fkeys%3Fa%3Db%23c", server.seen().get(0).path());
        }
    }

    @Test
    void a_key_or_token_that_no_header_can_carry_is_refused_without_quoting_it() throws IOException {
        try (FakeServer server = answering(Reply.of(200, VIEW))) {
            for (String token : new String[] {"secret\r\nX-A: 1", "", "secret é", "se cret"}) {
                InvalidException error = assertThrows(InvalidException.class, () -> server.client().token(token).build());
                assertFalse(error.getMessage().contains("secret"));
            }
            Client client = server.client().build().withIdempotencyKey("a\nb");
            assertThrows(InvalidException.class, () -> client.request(new ApprovalRequest(ACTION)));
            assertEquals(List.of(), server.targets());
        }
    }
}
