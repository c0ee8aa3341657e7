package dev.signoff.verifier;

import dev.signoff.error.RejectionException;
import dev.signoff.error.VerifierTrappedException;
import dev.signoff.json.Json;
import java.util.Base64;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * The verifier, in this process. It needs no network and no clock; any number of threads may call.
 *
 * <pre>{@code
 * Verifier verifier = new Verifier();
 * String digest = verifier.digest(Map.of("target", "prod", "replicas", 3));
 * }</pre>
 *
 * <p>Each method throws {@link RejectionException} with a code of wit/codes.md if the verifier refuses, and
 * {@link VerifierTrappedException} if it fails, which is never an answer. Keys appear in no message.
 */
public final class Verifier {
    private final Pool pool = new Pool();

    /** Makes a verifier. The first call takes about 0.3 s, or less after {@link #warmUp}. */
    public Verifier() {}

    /** Loads the verifier, so that the first call does not have to. */
    public void warmUp() {
        callText("{\"op\":\"describe\",\"args\":{}}");
    }

    /**
     * Returns the digest of the component in this package, which is the {@code verifier} that a server of the
     * same version shows.
     *
     * @return SHA-256, 64 lower-case hex characters
     */
    public String digestOfModule() {
        return Core.digest();
    }

    /**
     * Answers a request of wit/wire.wit. A request over 16 MiB, or with a lone surrogate, is answered with a
     * rejection without a call.
     *
     * @param request a JSON text
     * @return the answer, a JSON text
     * @throws VerifierTrappedException if the verifier fails
     */
    public String callText(String request) {
        byte[] encoded;
        try {
            encoded = Utf8.encode(request);
        } catch (RejectionException refused) {
            // Letter for letter what the verifier would answer.
            return "{\"error\":{\"code\":\"" + refused.code() + "\",\"message\":\"" + refused.detail() + "\"}}";
        }
        return pool.with(instance -> instance.call(encoded));
    }

    /**
     * Calls an operation.
     *
     * @param op its name, such as {@code context.digest}
     * @param args its arguments, in snake_case; contexts, approvals and other JSON texts are strings
     * @return the value of {@code ok}, as {@link Json#parse} reads it
     * @throws RejectionException if the verifier refuses
     */
    public Object call(String op, Map<String, ?> args) {
        Map<String, Object> request = new LinkedHashMap<>();
        request.put("op", op);
        request.put("args", args);
        Map<String, Object> answer = Json.parseObject(callText(Json.writeDeep(request)));
        if (answer.get("error") instanceof Map<?, ?> error) {
            throw new RejectionException((String) error.get("code"), (String) error.get("message"));
        }
        return answer.get("ok");
    }

    /**
     * Returns the canonical form of a context or plan.
     *
     * @param context a JSON object, as text
     * @return the canonical text
     * @throws RejectionException {@code context-invalid}
     */
    public String canonicalize(String context) {
        return member("context.canonicalize", Map.of("context", context), "canonical");
    }

    /**
     * Returns the canonical form of a context or plan.
     *
     * @param context its members, which {@link Json#write} must accept
     * @return the canonical text
     * @throws RejectionException {@code context-invalid}
     */
    public String canonicalize(Map<String, ?> context) {
        return canonicalize(Json.write(context));
    }

    /**
     * Returns the SHA-256 of the canonical form of a context or plan.
     *
     * @param context a JSON object, as text
     * @return 64 lower-case hex characters
     * @throws RejectionException {@code context-invalid}
     */
    public String digest(String context) {
        return member("context.digest", Map.of("context", context), "digest");
    }

    /**
     * Returns the SHA-256 of the canonical form of a context or plan.
     *
     * @param context its members, which {@link Json#write} must accept
     * @return 64 lower-case hex characters
     * @throws RejectionException {@code context-invalid}
     */
    public String digest(Map<String, ?> context) {
        return digest(Json.write(context));
    }

    /**
     * Returns the exact bytes that an approver signs.
     *
     * @param statement the decision
     * @param profile {@code v1} or {@code v2}
     * @return the message
     * @throws RejectionException {@code request-invalid}, {@code limit-exceeded}, {@code statement-ambiguous}
     */
    public byte[] payload(Statement statement, String profile) {
        String text = member("signing.payload", Map.of("statement", statement.json(), "profile", profile), "base64url");
        return Base64.getUrlDecoder().decode(text);
    }

    /**
     * Signs a statement.
     *
     * @param statement the decision
     * @param profile {@code v1} or {@code v2}
     * @param key the signer's key; an Ed25519 key's material is its private seed here
     * @return the signature, as text
     * @throws RejectionException as {@link #payload}, then {@code request-invalid}, {@code key-revoked},
     *     {@code key-not-yours}
     */
    public String sign(Statement statement, String profile, Key key) {
        Map<String, Object> args = Map.of("statement", statement.json(), "profile", profile, "key", key.json());
        return member("signing.sign", args, "signature");
    }

    /**
     * Verifies a signature.
     *
     * @param statement the decision
     * @param signature the signature, as text
     * @param keys the keys that count
     * @param accept the profiles that count
     * @return the id of the key that made the signature
     * @throws RejectionException {@code request-invalid}, {@code limit-exceeded}, {@code statement-ambiguous},
     *     {@code signature-malformed}, {@code key-unknown}, {@code key-revoked}, {@code key-not-yours},
     *     {@code signature-invalid}, in this order
     */
    public String verify(Statement statement, String signature, List<Key> keys, List<String> accept) {
        Map<String, Object> args = Map.of("statement", statement.json(), "signature", signature,
                "keys", keys.stream().map(Key::json).toList(), "accept", accept);
        return member("signing.verify", args, "key_id");
    }

    /**
     * Verifies that an executor may run an attempt, from an approval as a server shows it.
     *
     * @param check what the server showed, and what the executor knows itself
     * @return the proof; run exactly its context and plan
     * @throws RejectionException with a code of wit/approval.wit, in the order of that page
     */
    public Proof verifyApproval(ApprovalCheck check) {
        return Proof.of(object(call("approval.verify", check.args())));
    }

    /**
     * Verifies a receipt.
     *
     * @param check the receipt, and what the caller trusts
     * @return the report, with the members of wit/receipt.wit
     * @throws RejectionException with a code of wit/receipt.wit, in the order of that page
     */
    public Map<String, Object> verifyReceipt(ReceiptCheck check) {
        return object(call("receipt.verify", check.args()));
    }

    private String member(String op, Map<String, Object> args, String name) {
        return (String) object(call(op, args)).get(name);
    }

    @SuppressWarnings("unchecked")
    private static Map<String, Object> object(Object value) {
        // The reader makes no other maps.
        return (Map<String, Object>) value;
    }

    /** Returns the instances, for tests. */
    Pool pool() {
        return pool;
    }
}
