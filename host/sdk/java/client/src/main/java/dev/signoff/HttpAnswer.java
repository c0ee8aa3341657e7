package dev.signoff;

import java.io.IOException;
import java.net.ProtocolException;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Parses a whole HTTP/1.1 answer after which the connection was closed. It must have a length. */
final class HttpAnswer {
    private static final Pattern STATUS = Pattern.compile("HTTP/1\\.[01] ([2-5][0-9]{2})(?: [ -~]*)?");
    private static final Pattern HEADER = Pattern.compile("([A-Za-z0-9-]+):[ \t]*([\t -~]*)");
    private static final Pattern LENGTH = Pattern.compile("[0-9]{1,9}");

    private HttpAnswer() {}

    /**
     * Parses.
     *
     * @throws IOException if the answer is malformed, incomplete, or without a length
     */
    static Answer parse(byte[] whole) throws IOException {
        int end = endOfHead(whole);
        String[] lines = new String(whole, 0, end, StandardCharsets.ISO_8859_1).split("\r\n", -1);
        Matcher status = STATUS.matcher(lines[0]);
        if (!status.matches()) {
            throw new ProtocolException("malformed status line");
        }
        Map<String, String> headers = headers(lines);
        String length = headers.getOrDefault("content-length", "");
        if (headers.containsKey("transfer-encoding") || !LENGTH.matcher(length).matches()) {
            throw new ProtocolException("the answer has no Content-Length");
        }
        byte[] body = Arrays.copyOfRange(whole, end + 4, whole.length);
        if (body.length > Transport.ANSWER_BYTES_MAX) {
            throw new Transport.TooLarge();
        }
        if (body.length != Integer.parseInt(length)) {
            throw new ProtocolException("the answer is not as long as it says");
        }
        return new Answer(Integer.parseInt(status.group(1)), headers.get("x-request-id"), headers.get("retry-after"), body);
    }

    private static int endOfHead(byte[] whole) throws ProtocolException {
        for (int i = 0; i + 3 < whole.length; i++) {
            if (whole[i] == '\r' && whole[i + 1] == '\n' && whole[i + 2] == '\r' && whole[i + 3] == '\n') {
                return i;
            }
        }
        throw new ProtocolException("the connection ended before the answer");
    }

    private static Map<String, String> headers(String[] lines) throws ProtocolException {
        Map<String, String> headers = new TreeMap<>();
        for (String line : Arrays.asList(lines).subList(1, lines.length)) {
            Matcher header = HEADER.matcher(line);
            if (!header.matches()) {
                throw new ProtocolException("malformed header");
            }
            String name = header.group(1).toLowerCase(Locale.ROOT);
            if (headers.put(name, header.group(2).strip()) != null && name.equals("content-length")) {
                throw new ProtocolException("two Content-Length headers");
            }
        }
        return headers;
    }
}
