package dev.signoff.json;

/** Well-formedness of UTF-16. */
final class Surrogates {
    private Surrogates() {}

    /** Returns the index of the first surrogate without its other half, or -1. */
    static int loneIn(String text) {
        for (int i = 0; i < text.length(); i++) {
            char unit = text.charAt(i);
            if (Character.isHighSurrogate(unit) && i + 1 < text.length()
                    && Character.isLowSurrogate(text.charAt(i + 1))) {
                i++;
            } else if (Character.isSurrogate(unit)) {
                return i;
            }
        }
        return -1;
    }
}
