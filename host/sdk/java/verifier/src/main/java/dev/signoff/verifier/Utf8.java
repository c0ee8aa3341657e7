package dev.signoff.verifier;

import dev.signoff.error.RejectionException;
import java.nio.ByteBuffer;
import java.nio.CharBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;

/** Requests as bytes. */
final class Utf8 {
    /** The verifier has the same limit. */
    static final int BYTES_MAX = 16 << 20;

    private Utf8() {}

    /**
     * Encodes a request.
     *
     * @throws RejectionException {@code limit-exceeded} over 16 MiB, {@code request-invalid} for a text with a
     *     lone surrogate, in this order
     */
    static byte[] encode(String request) {
        // A text has at least as many bytes as UTF-16 code units.
        if (request.length() > BYTES_MAX) {
            throw tooLong(request.length());
        }
        ByteBuffer encoded;
        try {
            // Unlike String.getBytes, an encoder reports what it cannot encode.
            encoded = StandardCharsets.UTF_8.newEncoder().encode(CharBuffer.wrap(request));
        } catch (CharacterCodingException e) {
            throw new RejectionException("request-invalid", "request is not well-formed Unicode");
        }
        if (encoded.remaining() > BYTES_MAX) {
            throw tooLong(encoded.remaining());
        }
        return Arrays.copyOf(encoded.array(), encoded.remaining());
    }

    private static RejectionException tooLong(int bytes) {
        return new RejectionException(
                "limit-exceeded", "request is " + bytes + " bytes, the limit is " + BYTES_MAX);
    }
}
