package dev.signoff;

import dev.signoff.error.Problem;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.regex.Pattern;

/** The headers of requests, with the token, which is in no message. */
final class Headers {
    private static final Pattern TOKEN = Pattern.compile("[!-~]{1,4096}");
    private static final Pattern KEY = Pattern.compile("[ -~]{1,255}");

    private final String token;

    /**
     * Makes headers.
     *
     * @param token the token, or null
     * @throws dev.signoff.error.InvalidException if the token cannot be sent
     */
    Headers(String token) {
        if (token != null && !TOKEN.matcher(token).matches()) {
            throw Problem.of("request-invalid", "malformed token: expected printable ASCII characters").exception();
        }
        this.token = token;
    }

    /**
     * Returns the headers of a call.
     *
     * @throws dev.signoff.error.InvalidException if its idempotency key cannot be sent
     */
    Map<String, String> of(Call call) {
        Map<String, String> headers = new LinkedHashMap<>();
        headers.put("Accept", "application/json");
        headers.put("User-Agent", "signoff-java/" + Client.VERSION);
        if (token != null) {
            headers.put("Authorization", "Bearer " + token);
        }
        if (call.body() != null) {
            headers.put("Content-Type", "application/json");
        }
        if (call.key() != null) {
            if (!KEY.matcher(call.key()).matches()) {
                throw Problem.of("request-invalid", "an idempotency key has 1 to 255 printable ASCII characters")
                        .exception();
            }
            headers.put("Idempotency-Key", call.key());
        }
        return headers;
    }
}
