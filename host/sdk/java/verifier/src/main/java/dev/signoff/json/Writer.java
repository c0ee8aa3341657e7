package dev.signoff.json;

import dev.signoff.error.InvalidException;
import dev.signoff.error.Problem;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;

/** Writes values strictly, and knows where it is. */
final class Writer {
    /** Steps of a path that an error shows. */
    private static final int PATH_STEPS_MAX = 16;

    private final StringBuilder out = new StringBuilder();
    private final List<String> path = new ArrayList<>();
    private final int depthMax;

    Writer(int depthMax) {
        this.depthMax = depthMax;
    }

    String write(Object value) {
        value(value);
        return out.toString();
    }

    private void value(Object value) {
        if (value == null || value instanceof Boolean || value instanceof Long || value instanceof Integer
                || value instanceof Short || value instanceof Byte || value instanceof BigInteger) {
            out.append(value);
        } else if (value instanceof String text) {
            string(text);
        } else if (value instanceof Double || value instanceof Float) {
            finite(((Number) value).doubleValue());
        } else if (value instanceof BigDecimal decimal) {
            exact(decimal);
        } else if (value instanceof RawJson raw) {
            raw(raw.text());
        } else if (value instanceof Map<?, ?> map) {
            object(map);
        } else if (value instanceof Iterable<?> items) {
            array(items);
        } else if (value instanceof Object[] items) {
            array(Arrays.asList(items));
        } else {
            throw refused(value.getClass().getName() + " has no JSON form; convert it, for example to a text");
        }
        if (out.length() > Json.LENGTH_MAX) {
            throw new InvalidException(Problem.of("limit-exceeded",
                    "the value is longer than " + Json.LENGTH_MAX + " characters"));
        }
    }

    private void object(Map<?, ?> map) {
        enter();
        String separator = "{";
        for (Map.Entry<?, ?> member : map.entrySet()) {
            if (!(member.getKey() instanceof String name)) {
                throw refused("a key is not a String");
            }
            out.append(separator);
            separator = ", ";
            path.add(name);
            string(name);
            out.append(": ");
            value(member.getValue());
            leave();
        }
        out.append(map.isEmpty() ? "{}" : "}");
    }

    private void array(Iterable<?> items) {
        enter();
        out.append('[');
        int index = 0;
        for (Object item : items) {
            if (index > 0) {
                out.append(", ");
            }
            path.add(Integer.toString(index++));
            value(item);
            leave();
        }
        out.append(']');
    }

    private void enter() {
        if (path.size() >= depthMax) {
            throw refused("nested deeper than " + depthMax + " levels");
        }
    }

    private void leave() {
        path.remove(path.size() - 1);
    }

    private void string(String text) {
        if (Surrogates.loneIn(text) >= 0) {
            throw refused("a text has a surrogate without its other half");
        }
        out.append('"');
        for (int i = 0; i < text.length(); i++) {
            char unit = text.charAt(i);
            if (unit == '"' || unit == '\\') {
                out.append('\\').append(unit);
            } else if (unit < ' ') {
                out.append("\\u").append(HexFormat.of().toHexDigits(unit));
            } else {
                out.append(unit);
            }
        }
        out.append('"');
    }

    private void finite(double value) {
        if (!Double.isFinite(value)) {
            throw refused(value + " is not a JSON number");
        }
        out.append(value);
    }

    /** Decimals of money would be rounded without a word. */
    private void exact(BigDecimal value) {
        double nearest = value.doubleValue();
        if (!Double.isFinite(nearest) || new BigDecimal(nearest).compareTo(value) != 0) {
            throw refused("no double equals this BigDecimal; pass a text, or an integer of a smaller unit");
        }
        out.append(nearest);
    }

    private void raw(String text) {
        try {
            new Reader(text, depthMax - path.size()).read();
        } catch (JsonException wrong) {
            throw refused("raw JSON is refused: " + wrong.getMessage());
        }
        out.append(text);
    }

    private InvalidException refused(String why) {
        StringBuilder pointer = new StringBuilder();
        for (String step : path.subList(0, Math.min(path.size(), PATH_STEPS_MAX))) {
            pointer.append('/').append(step.replace("~", "~0").replace("/", "~1"));
        }
        pointer.append(path.size() > PATH_STEPS_MAX ? "/…" : "");
        return new InvalidException(Problem.of("context-invalid", "at `" + pointer + "`: " + why));
    }
}
