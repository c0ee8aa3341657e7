package dev.signoff.json;

/** A text that is not JSON, or that the reader refuses. */
public final class JsonException extends IllegalArgumentException {
    private static final long serialVersionUID = 1L;

    /** The offset of what is refused, in UTF-16 code units. */
    private final int offset;

    /** Makes an error about the text at an offset. */
    JsonException(String message, int offset) {
        super(message + " at character " + offset);
        this.offset = offset;
    }

    /**
     * Returns where the text is refused.
     *
     * @return an offset in UTF-16 code units
     */
    public int offset() {
        return offset;
    }
}
