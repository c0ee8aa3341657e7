package dev.signoff.json;

import java.util.Map;

/** Reads and writes JSON. */
public final class Json {
    /** The nesting that a context may have; the verifier has the same limit. */
    public static final int CONTEXT_DEPTH_MAX = 64;

    /** The nesting of every other text: answers contain a context and a few levels more. */
    public static final int DEPTH_MAX = 128;

    /** The characters of the longest text that is written. */
    static final int LENGTH_MAX = 16 << 20;

    private Json() {}

    /**
     * Reads one JSON value.
     *
     * <p>Objects become a {@link Map} in the text's order, arrays a {@link java.util.List}, both
     * unmodifiable. Integers become {@link Long}, or {@link java.math.BigInteger} if they need it. Other numbers
     * become {@link Double}, or {@link java.math.BigDecimal} if they have more than 17 digits or are out of a
     * double's range. Null is null.
     *
     * @param text the text
     * @return the value
     * @throws JsonException if the text is not exactly one JSON value, has a duplicate member or a lone
     *     surrogate, is nested deeper than {@link #DEPTH_MAX}, or has a number longer than 5,000 characters
     */
    public static Object parse(String text) {
        return new Reader(text, DEPTH_MAX).read();
    }

    /**
     * Reads one JSON object.
     *
     * @param text the text
     * @return its members, in order
     * @throws JsonException as {@link #parse}, and for any other value
     */
    @SuppressWarnings("unchecked")
    public static Map<String, Object> parseObject(String text) {
        if (parse(text) instanceof Map<?, ?> object) {
            // The reader makes no other maps.
            return (Map<String, Object>) object;
        }
        throw new JsonException("expected an object", 0);
    }

    /**
     * Writes a value as JSON, on one line.
     *
     * <p>Accepts null, {@link Boolean}, {@link String}, {@link Byte}, {@link Short}, {@link Integer},
     * {@link Long}, {@link java.math.BigInteger}, finite {@link Float} and {@link Double},
     * {@link java.math.BigDecimal} that a double equals exactly, {@link Iterable}, {@code Object[]}, {@link Map}
     * with texts as keys, and {@link RawJson}.
     *
     * @param value the value
     * @return its text
     * @throws dev.signoff.error.InvalidException ({@code context-invalid}) for anything else, with the JSON
     *     pointer of the value: also for a lone surrogate, nesting deeper than {@link #CONTEXT_DEPTH_MAX} (as of
     *     a list that contains itself), and a text longer than 16 Mi characters
     */
    public static String write(Object value) {
        return new Writer(CONTEXT_DEPTH_MAX).write(value);
    }

    /**
     * Writes a value that contains contexts, with up to {@link #DEPTH_MAX} levels.
     *
     * @param value the value
     * @return its text
     * @throws dev.signoff.error.InvalidException as {@link #write}
     */
    public static String writeDeep(Object value) {
        return new Writer(DEPTH_MAX).write(value);
    }
}
