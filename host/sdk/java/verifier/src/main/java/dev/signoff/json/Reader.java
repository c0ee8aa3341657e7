package dev.signoff.json;

import java.math.BigDecimal;
import java.math.BigInteger;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** A recursive descent parser of RFC 8259, without its liberties. */
final class Reader {
    /** Longer numbers take quadratic time to read; the verifier allows integers of 4,300 digits. */
    private static final int NUMBER_LENGTH_MAX = 5_000;
    /** So many digits identify a double. */
    private static final int DOUBLE_DIGITS_MAX = 17;

    private final String text;
    private final int depthMax;
    private int at;

    Reader(String text, int depthMax) {
        this.text = text;
        this.depthMax = depthMax;
    }

    Object read() {
        Object value = value(0);
        if (at < text.length()) {
            throw error("expected the end");
        }
        return value;
    }

    /** Reads a value and the white space around it. */
    private Object value(int depth) {
        skipSpace();
        Object value = switch (peek()) {
            case '{' -> object(depth + 1);
            case '[' -> array(depth + 1);
            case '"' -> string();
            case 't' -> word("true", true);
            case 'f' -> word("false", false);
            case 'n' -> word("null", null);
            default -> number();
        };
        skipSpace();
        return value;
    }

    private Map<String, Object> object(int depth) {
        enter(depth);
        Map<String, Object> members = new LinkedHashMap<>();
        skipSpace();
        if (!skip('}')) {
            do {
                skipSpace();
                int start = at;
                String name = string();
                skipSpace();
                expect(':');
                Object value = value(depth);
                if (members.containsKey(name)) {
                    at = start;
                    throw error("duplicate member");
                }
                members.put(name, value);
            } while (skip(','));
            expect('}');
        }
        return Collections.unmodifiableMap(members);
    }

    private List<Object> array(int depth) {
        enter(depth);
        List<Object> items = new ArrayList<>();
        skipSpace();
        if (!skip(']')) {
            do {
                items.add(value(depth));
            } while (skip(','));
            expect(']');
        }
        return Collections.unmodifiableList(items);
    }

    private void enter(int depth) {
        if (depth > depthMax) {
            throw error("nested deeper than " + depthMax + " levels");
        }
        at++;
    }

    private String string() {
        expect('"');
        int start = at;
        StringBuilder escaped = null;
        while (true) {
            char next = peek();
            if (next == '"') {
                String rest = text.substring(start, at++);
                return wellFormed(escaped == null ? rest : escaped.append(rest).toString());
            }
            if (next < ' ') {
                throw error("unexpected character in a string");
            }
            if (next == '\\') {
                escaped = escaped == null ? new StringBuilder() : escaped;
                escaped.append(text, start, at++).append(escape());
                start = at;
            } else {
                at++;
            }
        }
    }

    private char escape() {
        char kind = peek();
        at++;
        return switch (kind) {
            case '"', '\\', '/' -> kind;
            case 'b' -> '\b';
            case 'f' -> '\f';
            case 'n' -> '\n';
            case 'r' -> '\r';
            case 't' -> '\t';
            case 'u' -> unicode();
            default -> throw error("unknown escape before");
        };
    }

    private char unicode() {
        int value = 0;
        for (int i = 0; i < 4; i++) {
            char next = peek();
            // Not Character.digit alone: it also accepts digits of other scripts.
            int digit = next < 0x80 ? Character.digit(next, 16) : -1;
            if (digit < 0) {
                throw error("expected four hex digits");
            }
            value = value << 4 | digit;
            at++;
        }
        return (char) value;
    }

    private String wellFormed(String string) {
        if (Surrogates.loneIn(string) >= 0) {
            throw error("lone surrogate in the string before");
        }
        return string;
    }

    private Object number() {
        int start = at;
        skip('-');
        int first = at;
        int digits = digits();
        if (digits > 1 && text.charAt(first) == '0') {
            throw error("leading zero in the number before");
        }
        boolean whole = true;
        if (skip('.')) {
            whole = false;
            digits += digits();
        }
        if (skip('e') || skip('E')) {
            whole = false;
            if (!skip('+')) {
                skip('-');
            }
            digits();
        }
        String number = text.substring(start, at);
        return whole ? integer(number) : fraction(number, digits);
    }

    private int digits() {
        int start = at;
        while (at < text.length() && text.charAt(at) >= '0' && text.charAt(at) <= '9') {
            at++;
        }
        if (at == start) {
            throw error("expected a digit");
        }
        if (at - start > NUMBER_LENGTH_MAX) {
            throw error("number of more than " + NUMBER_LENGTH_MAX + " digits before");
        }
        return at - start;
    }

    private static Object integer(String number) {
        BigInteger value = new BigInteger(number);
        return value.bitLength() < Long.SIZE ? (Object) value.longValue() : value;
    }

    private Object fraction(String number, int digits) {
        double value = Double.parseDouble(number);
        if (digits <= DOUBLE_DIGITS_MAX && Double.isFinite(value) && (value != 0 || isZero(number))) {
            return value;
        }
        try {
            return new BigDecimal(number);
        } catch (NumberFormatException exponent) {
            throw error("number out of range before");
        }
    }

    private static boolean isZero(String number) {
        return number.split("[eE]", 2)[0].chars().noneMatch(c -> c >= '1' && c <= '9');
    }

    private Object word(String word, Object value) {
        if (!text.startsWith(word, at)) {
            throw error("unexpected text");
        }
        at += word.length();
        return value;
    }

    private void skipSpace() {
        while (at < text.length() && " \t\n\r".indexOf(text.charAt(at)) >= 0) {
            at++;
        }
    }

    private char peek() {
        if (at >= text.length()) {
            throw error("unexpected end");
        }
        return text.charAt(at);
    }

    private boolean skip(char expected) {
        if (at < text.length() && text.charAt(at) == expected) {
            at++;
            return true;
        }
        return false;
    }

    private void expect(char expected) {
        if (!skip(expected)) {
            throw error("expected `" + expected + "`");
        }
    }

    private JsonException error(String message) {
        return new JsonException(message, at);
    }
}
