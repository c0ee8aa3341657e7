package dev.signoff;

import dev.signoff.error.Problem;
import dev.signoff.error.SignoffException;
import dev.signoff.json.Json;
import dev.signoff.json.JsonException;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.regex.Pattern;

/**
 * An answer of the server.
 *
 * @param status the HTTP status
 * @param requestId the header {@code X-Request-Id}, or null
 * @param retryAfter the header {@code Retry-After}, or null
 * @param body the body
 */
record Answer(int status, String requestId, String retryAfter, byte[] body) {
    private static final Pattern REQUEST_ID = Pattern.compile("[A-Za-z0-9._-]{1,64}");
    private static final Pattern CODE = Pattern.compile("[a-z0-9-]{1,64}");
    private static final Pattern SECONDS = Pattern.compile("[0-9]{1,6}");
    private static final int MEMBERS_MAX = 64;

    // Keeps only a request id of the server's form.
    Answer {
        requestId = requestId != null && REQUEST_ID.matcher(requestId).matches() ? requestId : null;
    }

    boolean isSuccess() {
        return status == 200 || status == 201;
    }

    /**
     * Returns the object in a successful answer, and its text.
     *
     * @throws SignoffException {@code unreachable} if the body is not a JSON object
     */
    Body object() {
        try {
            String text = text();
            return new Body(text, Json.parseObject(text), this);
        } catch (CharacterCodingException | JsonException e) {
            throw unusable("the answer is not a JSON object: " + e.getMessage());
        }
    }

    /** Returns the error of an answer that is not what its route returns. */
    SignoffException unusable(String why) {
        return withOrigin(Problem.of("unreachable", why)).exception();
    }

    /** Returns the error of an answer that is no success. */
    SignoffException refusal() {
        try {
            Map<String, Object> problem = Json.parseObject(text());
            if (status >= 400 && problem.get("code") instanceof String code && CODE.matcher(code).matches()) {
                return refusal(code, problem).exception();
            }
        } catch (CharacterCodingException | JsonException e) {
            // Not a problem of the server's; perhaps a proxy's page.
        }
        return unusable("the server answered with status " + status + " and no reason");
    }

    private Problem refusal(String code, Map<String, Object> json) {
        Problem plain = Problem.of(code, json.get("detail") instanceof String detail ? detail : "");
        String title = json.get("title") instanceof String given ? given : plain.title();
        List<String> members = json.get("members") instanceof List<?> named
                ? named.stream().filter(String.class::isInstance).map(String.class::cast).limit(MEMBERS_MAX).toList()
                : List.of();
        String comment = code.equals("policy-denied") ? plain.detail() : null;
        return new Problem(code, title, plain.detail(), status, requestId, null, comment, members);
    }

    private Problem withOrigin(Problem problem) {
        return new Problem(problem.code(), problem.title(), problem.detail(), status, requestId, null, null, List.of());
    }

    /** Returns how long to wait before the same request may succeed; empty if it is not to be repeated. */
    Optional<Duration> busyFor() {
        boolean busy = status == 429 || status == 503;
        if (!busy || retryAfter == null || !SECONDS.matcher(retryAfter).matches()) {
            return Optional.empty();
        }
        return Optional.of(Duration.ofSeconds(Integer.parseInt(retryAfter)));
    }

    private String text() throws CharacterCodingException {
        return StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(body)).toString();
    }
}
