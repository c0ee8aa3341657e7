package dev.signoff;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.signoff.error.ConflictException;
import dev.signoff.error.ExpiredException;
import dev.signoff.error.ForbiddenException;
import dev.signoff.error.InvalidException;
import dev.signoff.error.MismatchException;
import dev.signoff.error.RejectedException;
import dev.signoff.error.SignoffException;
import dev.signoff.error.TimedOutException;
import dev.signoff.error.UnavailableException;
import dev.signoff.error.UnverifiedException;
import dev.signoff.error.WithdrawnException;
import dev.signoff.json.Json;
import dev.signoff.json.RawJson;
import dev.signoff.verifier.Floor;
import dev.signoff.verifier.Key;
import java.io.IOException;
import java.time.Clock;
import java.time.Duration;
import java.time.Instant;
import java.time.ZoneOffset;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.UnaryOperator;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class GuardTest {
    private final FakeOffice office = new FakeOffice();
    private final AtomicInteger runs = new AtomicInteger();
    private FakeServer server;

    @BeforeEach
    void start() throws IOException {
        server = new FakeServer(office);
    }

    @AfterEach
    void stop() {
        server.close();
    }

    private ClientBuilder pinned() {
        return server.client().keys(List.of(office.ann.key())).audience(FakeOffice.AUDIENCE).verifier(office.verifier);
    }

    private static GuardRequest request() {
        Action action = Action.of("deployer", "deploy", new RawJson("{\"replicas\":3,\"big\":12345678901234567890}"))
                .withPlan(Map.of("steps", List.of(1)));
        return GuardRequest.of(action);
    }

    private String guard(Client client) {
        return client.guard(request(), execution -> {
            runs.incrementAndGet();
            return execution.contextText();
        });
    }

    private <E extends SignoffException> E refused(Class<E> kind, String code, Client client) {
        E error = assertThrows(kind, () -> guard(client));
        assertEquals(code, error.code());
        assertEquals(0, runs.get());
        return error;
    }

    @Test
    void what_was_approved_runs_once_on_the_verified_text() {
        AtomicReference<Execution> seen = new AtomicReference<>();
        int result = pinned().build().guard(request(), execution -> {
            seen.set(execution);
            assertFalse(execution.reported());
            return runs.incrementAndGet();
        });
        assertEquals(1, result);
        assertEquals("{\"big\": 12345678901234567890, \"replicas\": 3}", seen.get().contextText());
        assertEquals(3L, seen.get().context().get("replicas"));
        assertEquals("{\"steps\": [1]}", seen.get().planText());
        assertEquals(List.of("ann@company.com"), seen.get().approvers());
        assertTrue(seen.get().reported());
        assertEquals("succeeded", office.outcome.get("outcome"));
        assertEquals(seen.get().id(), office.outcome.get("execution_id"));
        List<String> keys = server.seen().stream().map(sent -> sent.header("Idempotency-key"))
                .filter(key -> key != null).toList();
        assertEquals(3, keys.size());
        assertEquals(3, keys.stream().distinct().count());
    }

    @Test
    void without_keys_the_server_is_trusted() {
        guard(server.client().trustServer().build());
        assertEquals(1, runs.get());
    }

    @Test
    void requirements_that_nothing_enforces_without_keys_are_refused_before_anything_is_sent() {
        for (UnaryOperator<ClientBuilder> required : List.<UnaryOperator<ClientBuilder>>of(
                builder -> builder.floor(Floor.ofThreshold(5)), builder -> builder.accept(List.of("v2")),
                builder -> builder.policies(List.of()), ClientBuilder::allowHmac)) {
            for (ClientBuilder builder : List.of(server.client(), pinned().trustServer())) {
                Client client = required.apply(builder).build();
                InvalidException error = refused(InvalidException.class, "request-invalid", client);
                assertTrue(error.detail().contains("needs keys"), error.detail());
            }
        }
        assertEquals(List.of(), server.targets());
    }

    @Test
    void without_keys_another_action_still_does_not_run() {
        office.lies.put("show", view -> with(view, "context_hash", "0".repeat(64)));
        refused(UnverifiedException.class, "untrusted-answer", server.client().trustServer().build());
        office.lies.clear();
        office.lies.put("execute", view -> with(view, "action", "destroy"));
        refused(UnverifiedException.class, "untrusted-answer", server.client().trustServer().build());
        assertEquals("failed", office.outcome.get("outcome"));
    }

    @Test
    void decisions_against_it_are_errors() {
        office.decision = "rejected";
        RejectedException rejected = refused(RejectedException.class, "rejected", pinned().build());
        assertEquals("too risky", rejected.comment());
        assertTrue(rejected.approvalId().startsWith("appr_"));
        office.decision = "withdrawn";
        refused(WithdrawnException.class, "withdrawn", pinned().build());
        office.lies.put("show", view -> with(view, "status", "expired"));
        refused(ExpiredException.class, "expired", pinned().build());
        office.lies.put("show", view -> with(view, "status", "of-tomorrow"));
        refused(UnverifiedException.class, "untrusted-answer", pinned().build());
        assertFalse(server.targets().stream().anyMatch(target -> target.endsWith("/execute")));
    }

    @Test
    void settings_of_the_executor_decide() {
        refused(MismatchException.class, "audience-mismatch", pinned().audience("staging").build());
        office.weakens = true;
        refused(UnverifiedException.class, "requirement-too-weak", pinned().floor(Floor.ofThreshold(2)).build());
        office.weakens = false;
        refused(UnverifiedException.class, "key-unknown", pinned().keys(List.of()).build());
        refused(UnverifiedException.class, "key-unknown", pinned().keys(List.of(new Approver("eve").key())).build());
        refused(MismatchException.class, "policy-mismatch", pinned().policies(List.of("0".repeat(64))).build());
        refused(UnverifiedException.class, "signature-malformed", pinned().accept(List.of("v1")).build());
        Client noAudience = server.client().keys(List.of(office.ann.key())).build();
        refused(InvalidException.class, "request-invalid", noAudience);
    }

    @Test
    void nothing_weaker_than_the_floor_is_requested() {
        Floor floor = new Floor(2, Map.of("sre", 2), Duration.ofSeconds(60));
        assertEquals("{\"expires_in_seconds\":60,\"requirement\":{\"threshold\":2,\"groups\":{\"sre\":2}}}",
                requested(request(), floor));
        GuardRequest stronger = request().threshold(3).group("sre", 3).group("dba", 1).expiresIn(Duration.ofSeconds(30));
        assertEquals("{\"expires_in_seconds\":30,\"requirement\":{\"threshold\":3,\"groups\":{\"dba\":1,\"sre\":3}}}",
                requested(stronger, floor));
        GuardRequest weaker = request().threshold(1).group("sre", 1).expiresIn(Duration.ofSeconds(90));
        assertEquals(requested(request(), floor), requested(weaker, floor));
        assertEquals("{\"expires_in_seconds\":90,\"requirement\":{\"threshold\":1,\"groups\":{\"sre\":1}}}",
                requested(weaker, null));
        // Longer than the server's default: the request must not outlive it for that.
        assertEquals("{}", requested(request(), new Floor(null, Map.of(), Duration.ofDays(1))));
        for (Floor malformed : List.of(Floor.ofThreshold(0), new Floor(null, Map.of("sre", 0), null),
                new Floor(null, Map.of(), Duration.ofMillis(999)), new Floor(null, Map.of(), Duration.ofSeconds(-1)))) {
            refused(InvalidException.class, "request-invalid", pinned().floor(malformed).build());
        }
        assertTrue(server.seen().isEmpty());
    }

    /** Returns what a guard requires in its request. */
    private static String requested(GuardRequest request, Floor floor) {
        Map<String, Object> members = request.request().atLeast(floor).members(request.request().action());
        members.keySet().retainAll(List.of("expires_in_seconds", "requirement"));
        return Json.write(members).replace(" ", "");
    }

    @Test
    void hmac_keys_count_only_if_allowed() {
        Key hmac = new Key("ann", "hmac-sha256", office.ann.key().material(), "active", "approve",
                office.ann.email(), List.of());
        refused(UnverifiedException.class, "key-unknown", pinned().keys(List.of(hmac)).build());
        refused(UnverifiedException.class, "signature-invalid", pinned().keys(List.of(hmac)).allowHmac().build());
    }

    @Test
    void the_server_can_only_make_keys_stricter() {
        Key ann = office.ann.key();
        office.keys.set(0, new Key("other-id", ann.algorithm(), ann.material(), "revoked", "approve", ann.approver(), List.of()));
        refused(UnverifiedException.class, "key-revoked", pinned().build());
        office.keys.set(0, ann.withGroups(List.of()));
        Floor sre = new Floor(null, Map.of("sre", 1), null);
        refused(UnverifiedException.class, "approver-not-allowed", pinned().floor(sre).build(), request().group("sre", 1));
        office.keys.clear();
        office.refusals.put("keys", FakeServer.Reply.problem(403, "forbidden"));
        guard(pinned().build());
        assertEquals(1, runs.get());
    }

    private void refused(Class<? extends SignoffException> kind, String code, Client client, GuardRequest request) {
        SignoffException error = assertThrows(kind, () -> client.guard(request, execution -> runs.incrementAndGet()));
        assertEquals(code, error.code());
        assertEquals(0, runs.get());
    }

    @Test
    void an_unreadable_list_of_keys_stops_everything() {
        office.refusals.put("keys", FakeServer.Reply.of(200, "{\"items\":[{\"material\":\"x\"}]}"));
        refused(UnavailableException.class, "unreachable", pinned().build());
        office.refusals.put("keys", FakeServer.Reply.problem(401, "unauthenticated"));
        refused(ForbiddenException.class, "unauthenticated", pinned().build());
        assertTrue(server.targets().stream().anyMatch(target -> target.endsWith("/withdraw")));
    }

    @Test
    void an_id_is_claimed_once_in_a_process() {
        AtomicReference<String> first = new AtomicReference<>();
        pinned().build().guard(request(), execution -> {
            first.set(execution.approvalId());
            return runs.incrementAndGet();
        });
        // A system's time that jumps forward for a while makes the process forget nothing.
        Clock fast = Clock.offset(Clock.systemUTC(), Duration.ofDays(400));
        guard(server.client().trustServer().clock(fast).build());
        runs.set(0);
        Map<String, Object> earlier = office.show(first.get());
        office.lies.put("create", view -> with(view, "id", first.get()));
        office.lies.put("show", view -> {
            Map<String, Object> unclaimed = with(earlier, "status", "approved");
            unclaimed.put("execution", null);
            return unclaimed;
        });
        refused(UnverifiedException.class, "untrusted-answer", pinned().build());
        refused(UnverifiedException.class, "untrusted-answer", server.client().trustServer().build());
    }

    @Test
    void a_claim_that_does_not_verify_is_reported_as_failed() {
        office.lies.put("execute", view -> with(view, "expires_at", "2099-01-01T00:00:00Z"));
        refused(UnverifiedException.class, "signature-invalid", pinned().build());
        assertEquals("failed", office.outcome.get("outcome"));
        office.lies.put("execute", view -> with(view, "execution", null));
        refused(UnverifiedException.class, "untrusted-answer", pinned().build());
        office.lies.clear();
        office.refusals.put("execute", FakeServer.Reply.problem(409, "already-executed"));
        refused(ConflictException.class, "already-executed", pinned().build());
    }

    @Test
    void a_failure_is_reported_by_type_alone_and_thrown_on() {
        IOException thrown = assertThrows(IOException.class, () -> pinned().build().guard(request(), execution -> {
            runs.incrementAndGet();
            throw new IOException("a secret");
        }));
        assertEquals("a secret", thrown.getMessage());
        assertEquals(1, runs.get());
        assertEquals("failed", office.outcome.get("outcome"));
        assertEquals("java.io.IOException", office.outcome.get("detail"));
        assertThrows(StackOverflowError.class, () -> pinned().build().guard(request(), execution -> {
            throw new StackOverflowError();
        }));
        assertEquals("java.lang.StackOverflowError", office.outcome.get("detail"));
    }

    @Test
    void a_result_stands_if_it_cannot_be_reported() {
        office.refusals.put("outcome", FakeServer.Reply.problem(403, "forbidden"));
        AtomicReference<Execution> seen = new AtomicReference<>();
        String result = pinned().build().guard(request(), execution -> {
            seen.set(execution);
            return "deployed";
        });
        assertEquals("deployed", result);
        assertFalse(seen.get().reported());
    }

    @Test
    void at_the_time_limit_the_request_is_withdrawn() {
        office.decision = "";
        TimedOutException error = assertThrows(TimedOutException.class, () -> pinned().build()
                .guard(request().timeout(Duration.ofSeconds(2)), execution -> runs.incrementAndGet()));
        assertEquals("timed-out", error.code());
        assertEquals(0, runs.get());
        assertTrue(server.targets().stream().anyMatch(target -> target.endsWith("/withdraw")));
    }

    @Test
    void a_cancelled_wait_withdraws() throws InterruptedException {
        office.decision = "";
        CountDownLatch waiting = new CountDownLatch(1);
        office.lies.put("show", view -> {
            waiting.countDown();
            return view;
        });
        ExecutorService threads = Executors.newSingleThreadExecutor();
        CompletableFuture<Integer> guarded = pinned().build().async(threads)
                .guard(request(), execution -> runs.incrementAndGet());
        waiting.await();
        guarded.cancel(true);
        threads.shutdown();
        threads.awaitTermination(1, TimeUnit.HOURS);
        assertEquals(0, runs.get());
        assertTrue(server.targets().stream().anyMatch(target -> target.endsWith("/withdraw")));
    }

    @Test
    void an_interrupted_function_is_reported_and_the_interrupt_kept() {
        assertThrows(InterruptedException.class, () -> pinned().build().guard(request(), execution -> {
            Thread.currentThread().interrupt();
            throw new InterruptedException();
        }));
        assertTrue(Thread.interrupted());
        assertEquals("failed", office.outcome.get("outcome"));
    }

    @Test
    void malformed_contexts_are_refused_without_a_call() {
        for (String context : new String[] {"", "[]", "{\"a\":1,\"a\":1}", "{\"a\":\"\\ud800\"}", "{\"a\":1} {}"}) {
            Action action = Action.of("deployer", "deploy", new RawJson(context));
            InvalidException error = assertThrows(InvalidException.class,
                    () -> pinned().build().guard(GuardRequest.of(action), execution -> runs.incrementAndGet()));
            assertEquals("context-invalid", error.code());
        }
        assertEquals(List.of(), server.targets());
    }

    @Test
    void a_wrong_clock_or_an_approval_from_before_the_request_stops_everything() {
        Clock past = Clock.fixed(Instant.parse("2024-12-31T23:59:59Z"), ZoneOffset.UTC);
        refused(UnavailableException.class, "clock-behind", pinned().clock(past).build());
        Clock ahead = Clock.offset(Clock.systemUTC(), Duration.ofSeconds(200));
        refused(UnverifiedException.class, "request-too-old", pinned().clock(ahead).build());
        Clock late = Clock.offset(Clock.systemUTC(), Duration.ofHours(2));
        refused(ExpiredException.class, "expired", pinned().clock(late).build());
    }

    private static Map<String, Object> with(Map<String, Object> view, String name, Object value) {
        Map<String, Object> changed = new LinkedHashMap<>(view);
        changed.put(name, value);
        return changed;
    }
}
