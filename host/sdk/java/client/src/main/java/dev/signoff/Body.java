package dev.signoff;

import dev.signoff.error.SignoffException;
import java.time.DateTimeException;
import java.time.Instant;
import java.util.List;
import java.util.Map;

/**
 * The JSON object in an answer, with members of known types.
 *
 * @param text the text as it came
 * @param json its members
 * @param answer the answer, for errors
 */
record Body(String text, Map<String, Object> json, Answer answer) {
    String string(String name) {
        if (json.get(name) instanceof String value) {
            return value;
        }
        throw wrong(name);
    }

    /** Returns null if the member is null or absent. */
    String optional(String name) {
        return json.get(name) == null ? null : string(name);
    }

    Instant time(String name) {
        try {
            return Instant.parse(string(name));
        } catch (DateTimeException e) {
            throw wrong(name);
        }
    }

    List<?> list(String name) {
        if (json.get(name) instanceof List<?> value) {
            return value;
        }
        throw wrong(name);
    }

    /** Returns the error of an answer that is not what its route returns. */
    SignoffException wrong(String name) {
        return answer.unusable("the answer is not what the route returns: `" + name + "` is missing or malformed");
    }
}
