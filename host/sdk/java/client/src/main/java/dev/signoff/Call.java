package dev.signoff;

import java.net.URLEncoder;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.UUID;
import java.util.stream.Collectors;

/**
 * One request of the API. It may be repeated: it reads, or it has an idempotency key.
 *
 * @param method {@code GET} or {@code POST}
 * @param target path and query
 * @param body JSON, or null
 * @param key the idempotency key, or null
 */
record Call(String method, String target, String body, String key) {
    private static final String PREFIX = "/api/v1";

    static Call get(String path, Map<String, ?> query) {
        String words = query.entrySet().stream()
                .map(entry -> entry.getKey() + "=" + encoded(entry.getValue().toString()))
                .collect(Collectors.joining("&"));
        return new Call("GET", PREFIX + path + (words.isEmpty() ? "" : "?" + words), null, null);
    }

    /** Makes a POST; without a key, one is made, and kept over all retries. */
    static Call post(String path, String body, String key) {
        return new Call("POST", PREFIX + path, body, key == null ? UUID.randomUUID().toString() : key);
    }

    /** Makes a POST that changes nothing. */
    static Call read(String path, String body) {
        return new Call("POST", PREFIX + path, body, null);
    }

    /** Returns the path of an approval, and a word after it. */
    static String approval(String id, String word) {
        return "/approvals/" + encoded(id) + word;
    }

    private static String encoded(String text) {
        return URLEncoder.encode(text, StandardCharsets.UTF_8).replace("+", "%20");
    }
}
