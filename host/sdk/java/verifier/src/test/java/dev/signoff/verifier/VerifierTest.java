package dev.signoff.verifier;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.signoff.error.MismatchException;
import dev.signoff.error.RejectionException;
import dev.signoff.error.VerifierTrappedException;
import dev.signoff.json.Json;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.time.Instant;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicReference;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;
import org.junit.jupiter.api.Test;

class VerifierTest {
    private static final Instant EXPIRY = Instant.parse("2025-10-17T11:30:00Z");
    private static final Statement STATEMENT =
            Statement.v1("appr_abc123", "approved", "user@company.com", EXPIRY);
    private static final String SECRET = "a secret that is for examples only";
    private static final Key KEY = new Key("k1", "hmac-sha256", "YSBzZWNyZXQgdGhhdCBpcyBmb3IgZXhhbXBsZXMgb25seQ",
            "active", "approve", null, List.of());

    private final Verifier verifier = new Verifier();

    @Test
    void digest_is_that_of_the_canonical_text() throws GeneralSecurityException {
        String canonical = verifier.canonicalize("{\"b\":1.0,\"a\":\"é\"}");
        assertEquals("{\"a\": \"\\u00e9\", \"b\": 1.0}", canonical);
        assertEquals(sha256(canonical.getBytes(StandardCharsets.UTF_8)), verifier.digest("{\"b\":1.0,\"a\":\"é\"}"));
        assertEquals(verifier.digest(canonical), verifier.digest(Map.of("a", "é", "b", 1.0)));
    }

    @Test
    void refuses_malformed_contexts_with_their_code() {
        for (String context : new String[] {"", "[]", "{\"a\":1,\"a\":2}", "{\"a\":NaN}", "{} x", "{\"a\":\"\\ud800\"}"}) {
            RejectionException refused = assertThrows(RejectionException.class, () -> verifier.digest(context));
            assertEquals("context-invalid", refused.code(), context);
        }
    }

    @Test
    void signatures_equal_those_of_the_platform() throws GeneralSecurityException {
        byte[] message = verifier.payload(STATEMENT, "v1");
        assertEquals("appr_abc123:approved:user@company.com:2025-10-17T11:30:00+00:00",
                new String(message, StandardCharsets.US_ASCII));
        Mac mac = Mac.getInstance("HmacSHA256");
        mac.init(new SecretKeySpec(SECRET.getBytes(StandardCharsets.UTF_8), "HmacSHA256"));
        String signature = HexFormat.of().formatHex(mac.doFinal(message));
        assertEquals(signature, verifier.sign(STATEMENT, "v1", KEY));
        assertEquals("k1", verifier.verify(STATEMENT, signature, List.of(KEY), List.of("v1")));
    }

    @Test
    void refuses_wrong_signatures_in_order() {
        String signature = verifier.sign(STATEMENT, "v1", KEY);
        refused("signature-invalid", "0".repeat(64), KEY, "v1");
        refused("signature-malformed", "v2.k1.AAAA", KEY, "v1");
        refused("signature-malformed", "", KEY, "v1");
        refused("key-revoked", signature, KEY.withStatus("revoked"), "v1");
        refused("request-invalid", signature, KEY.withStatus("unknown"), "v1");
        RejectionException none = assertThrows(RejectionException.class,
                () -> verifier.verify(STATEMENT, signature, List.of(), List.of("v1")));
        assertEquals("key-unknown", none.code());
    }

    private void refused(String code, String signature, Key key, String profile) {
        RejectionException refused = assertThrows(RejectionException.class,
                () -> verifier.verify(STATEMENT, signature, List.of(key), List.of(profile)));
        assertEquals(code, refused.code());
        assertFalse(refused.toString().contains(key.material()));
    }

    @Test
    void a_code_is_the_same_error_as_that_of_a_server() {
        RejectionException local = new RejectionException("audience-mismatch", "another audience");
        assertEquals(MismatchException.class, local.asClientError().getClass());
        assertEquals("Audience doesn't match approval", local.asClientError().title());
        assertEquals(local, local.asClientError().getCause());
    }

    @Test
    void unknown_operations_and_arguments_are_refused() {
        for (String op : new String[] {"", "no.such", "context.digest "}) {
            RejectionException refused = assertThrows(RejectionException.class, () -> verifier.call(op, Map.of()));
            assertEquals("request-invalid", refused.code());
        }
        assertThrows(RejectionException.class, () -> verifier.call("describe", Map.of("more", 1)));
        assertTrue(((Map<?, ?>) verifier.call("describe", Map.of())).get("version") instanceof String);
    }

    @Test
    void huge_and_malformed_texts_are_refused_without_a_call() {
        String huge = "{\"op\":\"describe\",\"args\":{}}".concat(" ".repeat(16 << 20));
        assertEquals("limit-exceeded", code(verifier.callText(huge)));
        assertEquals("limit-exceeded", code(verifier.callText("é".repeat(9 << 20))));
        assertEquals("request-invalid", code(verifier.callText("\"\ud800\"")));
        assertEquals("request-invalid", code(verifier.callText("")));
        assertEquals("request-invalid", code(verifier.callText("[".repeat(1 << 20))));
    }

    private static String code(String answer) {
        return (String) ((Map<?, ?>) Json.parseObject(answer).get("error")).get("code");
    }

    @Test
    void a_trap_is_reported_and_its_instance_dropped() {
        AtomicReference<CoreInstance> first = new AtomicReference<>();
        verifier.pool().with(instance -> {
            first.set(instance);
            return null;
        });
        VerifierTrappedException trapped = assertThrows(VerifierTrappedException.class,
                () -> verifier.pool().with(instance -> {
                    assertEquals(first.get(), instance);
                    instance.trap();
                    return null;
                }));
        assertEquals("verifier-trapped", trapped.code());
        verifier.pool().with(instance -> {
            assertFalse(instance == first.get());
            return null;
        });
        assertEquals("k1", verifier.verify(STATEMENT, verifier.sign(STATEMENT, "v1", KEY), List.of(KEY), List.of("v1")));
    }

    @Test
    void an_instance_that_grew_is_dropped() {
        AtomicReference<CoreInstance> first = new AtomicReference<>();
        verifier.pool().with(instance -> {
            first.set(instance);
            return instance.call(("\"" + "a".repeat(8 << 20) + "\"").getBytes(StandardCharsets.UTF_8));
        });
        verifier.pool().with(instance -> {
            assertFalse(instance == first.get());
            return null;
        });
    }

    @Test
    void an_interrupted_thread_gets_its_answer_and_keeps_the_interrupt() {
        Thread.currentThread().interrupt();
        String digest = verifier.digest("{}");
        assertTrue(Thread.interrupted());
        assertEquals(verifier.digest("{}"), digest);
    }

    @Test
    void digest_of_module_is_that_of_the_component_and_of_the_compiled_core() throws IOException, GeneralSecurityException {
        byte[] component = resource("verifier.wasm");
        assertEquals(sha256(component), verifier.digestOfModule());
        List<String> built = new String(resource("core.sha256"), StandardCharsets.US_ASCII).lines().toList();
        assertEquals("component " + sha256(component), built.get(0));
        // The core module is the first section of the component: id 1, then its size.
        assertEquals(1, component[8]);
        int at = 9;
        int size = 0;
        for (int shift = 0; ; shift += 7) {
            byte next = component[at++];
            size |= (next & 0x7f) << shift;
            if (next >= 0) {
                break;
            }
        }
        byte[] core = java.util.Arrays.copyOfRange(component, at, at + size);
        assertEquals("core " + sha256(core), built.get(1));
    }

    private static byte[] resource(String name) throws IOException {
        try (var stream = Verifier.class.getResourceAsStream(name)) {
            return stream.readAllBytes();
        }
    }

    private static String sha256(byte[] bytes) throws GeneralSecurityException {
        return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(bytes));
    }
}
