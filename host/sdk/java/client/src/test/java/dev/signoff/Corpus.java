package dev.signoff;

import dev.signoff.verifier.Verifier;
import java.io.BufferedInputStream;
import java.io.DataInputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.util.HexFormat;

/**
 * What a replay of a flat corpus found.
 *
 * @param calls number of calls
 * @param wrong number of answers that differ
 * @param transcript SHA-256 of each request and answer, with a line feed after each
 */
record Corpus(int calls, int wrong, String transcript) {
    static Corpus replay(Verifier verifier, Path file) throws IOException, GeneralSecurityException {
        MessageDigest transcript = MessageDigest.getInstance("SHA-256");
        int calls = 0;
        int wrong = 0;
        try (DataInputStream in = new DataInputStream(new BufferedInputStream(Files.newInputStream(file)))) {
            for (String request = next(in); request != null; request = next(in)) {
                String answer = verifier.callText(request);
                calls++;
                wrong += answer.equals(next(in)) ? 0 : 1;
                for (String text : new String[] {request, answer}) {
                    transcript.update(text.getBytes(StandardCharsets.UTF_8));
                    transcript.update((byte) '\n');
                }
            }
        }
        return new Corpus(calls, wrong, HexFormat.of().formatHex(transcript.digest()));
    }

    private static String next(DataInputStream in) throws IOException {
        byte[] size = in.readNBytes(4);
        if (size.length == 0) {
            return null;
        }
        int length = size[0] & 0xff | (size[1] & 0xff) << 8 | (size[2] & 0xff) << 16 | size[3] << 24;
        return new String(in.readNBytes(length), StandardCharsets.UTF_8);
    }
}
