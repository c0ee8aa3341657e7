package dev.signoff.error;

/** Texts of others, for one line of a terminal or log. */
final class Printable {
    /** How much is shown of a text, in characters. */
    private static final int LENGTH_MAX = 1000;

    private Printable() {}

    /**
     * Escapes as <code>&#92;u{202e}</code> what shows nothing, acts on its neighbours or ends the line: control
     * and format characters, separators other than the space, surrogates, private and unassigned characters. A
     * longer text is cut.
     */
    static String of(String text) {
        StringBuilder shown = new StringBuilder();
        text.codePoints().limit(LENGTH_MAX).forEach(point -> {
            switch (Character.getType(point)) {
                case Character.CONTROL, Character.FORMAT, Character.LINE_SEPARATOR, Character.PARAGRAPH_SEPARATOR,
                        Character.SURROGATE, Character.PRIVATE_USE, Character.UNASSIGNED ->
                    shown.append("\\u{").append(Integer.toHexString(point)).append('}');
                default -> {
                    if (Character.isSpaceChar(point) && point != ' ') {
                        shown.append("\\u{").append(Integer.toHexString(point)).append('}');
                    } else {
                        shown.appendCodePoint(point);
                    }
                }
            }
        });
        return text.codePointCount(0, text.length()) > LENGTH_MAX ? shown.append('…').toString() : shown.toString();
    }
}
