package dev.signoff;

import dev.signoff.json.Json;
import dev.signoff.verifier.ApprovalCheck;
import dev.signoff.verifier.Key;
import dev.signoff.verifier.Statement;
import dev.signoff.verifier.Verifier;
import java.lang.management.ManagementFactory;
import java.lang.management.ThreadMXBean;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.time.Instant;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

/**
 * Times the verifier beside the platform's own cryptography, in microseconds of processor time per call, so that other
 * processes do not count.
 */
final class Bench {
    private static final long WARM_UP_NANOS = 4_000_000_000L;
    private static final long BATCH_NANOS = 50_000_000L;
    private static final int BATCHES = 21;
    /** Reading the clock of a thread takes about a microsecond. */
    private static final int CALLS_BETWEEN_READINGS = 16;
    private static final ThreadMXBean THREADS = ManagementFactory.getThreadMXBean();

    private Bench() {}

    /** A call that is timed. */
    private interface Timed {
        void call() throws Exception;
    }

    public static void main(String[] arguments) throws Exception {
        long begun = System.nanoTime();
        Verifier verifier = new Verifier();
        verifier.warmUp();
        System.out.printf("first call: %d ms%n", (System.nanoTime() - begun) / 1_000_000);
        Map<String, Timed> timed = new LinkedHashMap<>();
        timed.put("v1 verify", v1(verifier));
        timed.put("v1 verify, as texts", v1Texts(verifier));
        timed.put("v1 verify by javax.crypto.Mac", mac());
        String context = "{\"text\": \"" + "a".repeat(1011) + "\"}";
        timed.put("digest of 1 KiB", () -> verifier.digest(context));
        MessageDigest sha256 = MessageDigest.getInstance("SHA-256");
        timed.put("SHA-256 of 1 KiB by the platform", () -> sha256.digest(context.getBytes(StandardCharsets.UTF_8)));
        timed.put("approval.verify, one Ed25519 ballot", approval());
        for (Map.Entry<String, Timed> each : timed.entrySet()) {
            double[] batches = batches(each.getValue());
            System.out.printf("%-40s median %8.1f, best %8.1f%n", each.getKey(), batches[BATCHES / 2], batches[0]);
        }
    }

    private static double[] batches(Timed timed) throws Exception {
        long end = THREADS.getCurrentThreadCpuTime() + WARM_UP_NANOS;
        while (THREADS.getCurrentThreadCpuTime() < end) {
            timed.call();
        }
        double[] batches = new double[BATCHES];
        for (int i = 0; i < BATCHES; i++) {
            long begun = THREADS.getCurrentThreadCpuTime();
            long used = 0;
            int calls = 0;
            while (used < BATCH_NANOS) {
                for (int more = 0; more < CALLS_BETWEEN_READINGS; more++) {
                    timed.call();
                }
                calls += CALLS_BETWEEN_READINGS;
                used = THREADS.getCurrentThreadCpuTime() - begun;
            }
            batches[i] = used / 1e3 / calls;
        }
        Arrays.sort(batches);
        return batches;
    }

    private static Timed v1(Verifier verifier) {
        Statement statement = Statement.v1("appr_abc123", "approved", "user@company.com", Instant.EPOCH);
        Key key = new Key("k1", "hmac-sha256", "YSBzZWNyZXQgdGhhdCBpcyBmb3IgZXhhbXBsZXMgb25seQ", "active", "approve",
                null, List.of());
        String signature = verifier.sign(statement, "v1", key);
        return () -> verifier.verify(statement, signature, List.of(key), List.of("v1"));
    }

    /** Without the values of Java around the call. */
    private static Timed v1Texts(Verifier verifier) {
        String request = """
                {"args":{"accept":["v1"],"keys":[{"algorithm":"hmac-sha256","approver":null,"groups":[],"id":"k1",\
                "material":"YSBzZWNyZXQgdGhhdCBpcyBmb3IgZXhhbXBsZXMgb25seQ","status":"active","use":"approve"}],\
                "signature":"86b7875410eab9776b74982dce0aec0fbd7bc512b118f1a378d1246b8e49626a",\
                "statement":{"approval_id":"appr_abc123","approver":"user@company.com","decision":"approved",\
                "expires_at":0}},"op":"signing.verify"}""";
        return () -> {
            if (!verifier.callText(request).startsWith("{\"ok\"")) {
                throw new IllegalStateException("wrong");
            }
        };
    }

    private static Timed mac() throws GeneralSecurityException {
        Mac mac = Mac.getInstance("HmacSHA256");
        mac.init(new SecretKeySpec("a secret that is for examples only".getBytes(StandardCharsets.UTF_8), "HmacSHA256"));
        byte[] message = "appr_abc123:approved:user@company.com:1970-01-01T00:00:00+00:00"
                .getBytes(StandardCharsets.US_ASCII);
        byte[] expected = mac.doFinal(message);
        return () -> {
            if (!MessageDigest.isEqual(expected, mac.doFinal(message))) {
                throw new IllegalStateException("wrong");
            }
        };
    }

    private static Timed approval() {
        FakeOffice office = new FakeOffice();
        String body = "{\"agent\":\"deployer\",\"action\":\"deploy\",\"context\":{\"replicas\":3}}";
        String id = (String) Json.parseObject(office.answer(
                new FakeServer.Sent("POST", "/api/v1/approvals", Map.of(), body)).body()).get("id");
        String shown = office.answer(new FakeServer.Sent("GET", "/api/v1/approvals/" + id, Map.of(), "")).body();
        return () -> office.verifier.verifyApproval(new ApprovalCheck(shown, id, FakeOffice.AUDIENCE)
                .attempt("deployer", "deploy", "{\"replicas\": 3}", null)
                .keys(List.of(office.ann.key()))
                .now(Instant.now()));
    }
}
