package dev.signoff;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.signoff.error.MismatchException;
import dev.signoff.error.RejectedException;
import dev.signoff.error.UnverifiedException;
import dev.signoff.json.Json;
import dev.signoff.verifier.ReceiptCheck;
import dev.signoff.verifier.Verifier;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledIfEnvironmentVariable;
import org.junit.jupiter.api.io.TempDir;

/** With a real server; needs the binary that SIGNOFF_BIN names. */
@EnabledIfEnvironmentVariable(named = "SIGNOFF_BIN", matches = ".+",
        disabledReason = "set SIGNOFF_BIN to the signoff binary to test with a real server")
class LiveTest {
    @TempDir
    private static Path folder;

    private static LiveServer server;
    private static final ExecutorService THREADS = Executors.newCachedThreadPool();
    private static final Verifier VERIFIER = new Verifier();

    @BeforeAll
    static void start() throws IOException, InterruptedException {
        server = new LiveServer(folder);
    }

    @AfterAll
    static void stop() throws InterruptedException {
        THREADS.shutdown();
        if (server != null) {
            server.stop();
        }
    }

    private static ClientBuilder executor() {
        return Client.builder().environment(Map.of("XDG_CONFIG_HOME", folder.resolve("none").toString()))
                .url(server.url()).token(server.executor()).keys(server.keys()).audience(LiveServer.AUDIENCE)
                .verifier(VERIFIER);
    }

    private static GuardRequest request(int number) {
        return GuardRequest.of("deployer", "deploy", Map.of("number", number)).reason("a test");
    }

    /** Starts a guard, and returns the id of its request once the server shows it. */
    private static String pending(Client client) throws InterruptedException {
        while (true) {
            ApprovalPage page = client.list(new ApprovalQuery("pending", "deployer", null, null, null));
            if (!page.items().isEmpty()) {
                return page.items().get(0).id();
            }
            Thread.sleep(20);
        }
    }

    @Test
    void what_an_approver_approves_runs_and_its_receipt_verifies() throws Exception {
        Client client = executor().build();
        CompletableFuture<Execution> guarded = client.async(THREADS).guard(request(1), execution -> execution);
        server.approve(pending(client));
        Execution execution = guarded.get();
        assertEquals("{\"number\": 1}", execution.contextText());
        assertEquals(List.of(LiveServer.APPROVER), execution.approvers());
        assertTrue(execution.reported());
        Approval shown = client.get(execution.approvalId());
        assertEquals("executed", shown.status());
        assertEquals(VERIFIER.digestOfModule(), shown.json().get("verifier"));
        Map<String, Object> report = VERIFIER.verifyReceipt(new ReceiptCheck(client.receipt(shown.id()), List.of())
                .id(shown.id()).audience(LiveServer.AUDIENCE));
        assertEquals(true, report.get("requirement_met"));
    }

    @Test
    void what_an_approver_rejects_does_not_run() throws Exception {
        Client client = executor().build();
        CompletableFuture<Object> guarded = client.async(THREADS).guard(request(2), execution -> {
            throw new IllegalStateException("it ran");
        });
        server.reject(pending(client));
        ExecutionException failed = assertThrows(ExecutionException.class, guarded::get);
        assertEquals(RejectedException.class, failed.getCause().getClass());
    }

    @Test
    void another_audience_or_key_does_not_run() throws Exception {
        refused(UnverifiedException.class, executor().keys(List.of(new Approver("eve").key())).build(), 3);
        refused(MismatchException.class, executor().audience("another").build(), 4);
    }

    private static void refused(Class<? extends Exception> kind, Client client, int number) throws Exception {
        CompletableFuture<Object> guarded = client.async(THREADS).guard(request(number), execution -> {
            throw new IllegalStateException("it ran");
        });
        server.approve(pending(client));
        ExecutionException failed = assertThrows(ExecutionException.class, guarded::get);
        assertEquals(kind, failed.getCause().getClass());
    }

    @Test
    void a_unix_socket_reaches_the_same_server() {
        Client client = executor().url("unix:" + server.socket()).build();
        assertTrue(client.keys().containsAll(server.keys()));
        assertTrue(client.list(ApprovalQuery.ALL).nextCursor() == null);
    }

    @Test
    void events_follow_the_log() {
        try (EventStream events = executor().token(server.auditor()).build().events("0")) {
            Event first = events.next();
            assertTrue(Json.parseObject(first.data()).containsKey("event"), first.data());
            assertTrue(!events.next().id().equals(first.id()));
        }
    }

    @Test
    void members_that_differ_are_named() {
        Client client = executor().build();
        Approval made = client.request(new ApprovalRequest(Action.of("deployer", "deploy", Map.of("a", 1))));
        server.approve(made.id());
        MismatchException differs = assertThrows(MismatchException.class,
                () -> client.claim(made.id(), Action.of("deployer", "deploy", Map.of("a", 2)), null));
        assertEquals(List.of("/a"), differs.members());
    }

    @Test
    void evaluations_without_a_policy_require_an_approval() {
        Evaluation evaluation = executor().build().evaluate(Action.of("deployer", "deploy", Map.of("a", 1)));
        assertTrue(evaluation.requiresApproval());
    }

    @Test
    void the_corpus_of_the_binary_has_its_transcript() throws Exception {
        Path corpus = folder.resolve("corpus");
        Map<String, Object> exported = Json.parseObject(
                server.run("server", "module", "export", "verifier", "--flat-corpus", "-o", corpus.toString(), "--json"));
        Corpus replayed = Corpus.replay(VERIFIER, corpus);
        Files.delete(corpus);
        assertEquals(0, replayed.wrong());
        assertEquals(exported.get("transcript"), replayed.transcript());
    }

    @Test
    void eight_threads_share_a_verifier() throws InterruptedException {
        int[] counts = Load.run(VERIFIER, 8, 80_000);
        assertEquals(80_000, counts[0]);
        assertEquals(0, counts[1]);
    }
}
