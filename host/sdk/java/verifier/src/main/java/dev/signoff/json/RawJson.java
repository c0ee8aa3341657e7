package dev.signoff.json;

import java.util.Objects;

/**
 * A JSON text that is passed on as it is, as a value of a context or as a whole one.
 *
 * @param text one JSON value; the writer refuses anything else
 */
public record RawJson(String text) {
    // Requires a text.
    public RawJson {
        Objects.requireNonNull(text, "text");
    }

    @Override
    public String toString() {
        return text;
    }
}
