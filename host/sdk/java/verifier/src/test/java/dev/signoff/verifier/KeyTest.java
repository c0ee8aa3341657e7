package dev.signoff.verifier;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class KeyTest {
    private static final String ENTRY = """
            {"id":"ann","algorithm":"ed25519","material":"AHJG","status":"active","use":"approve",
             "approver":"ann@company.com","groups":["sre"]}""";
    private static final Key ANN =
            new Key("ann", "ed25519", "AHJG", "active", "approve", "ann@company.com", List.of("sre"));

    @Test
    void reads_every_form_that_the_binary_prints() {
        assertEquals(List.of(ANN), Key.parse(ENTRY));
        assertEquals(List.of(ANN, ANN), Key.parse("[" + ENTRY + "," + ENTRY + "]"));
        assertEquals(List.of(ANN), Key.parse("{\"format\":1,\"keys\":[" + ENTRY + "]}"));
        String listed = ENTRY.replace("material", "public_key");
        String secret = "{\"id\":\"h\",\"algorithm\":\"hmac-sha256\",\"status\":\"active\",\"use\":\"approve\",\"groups\":[]}";
        assertEquals(List.of(ANN), Key.parse("{\"items\":[" + listed + "," + secret + "],\"keyring\":\"k\"}"));
        assertEquals(List.of(), Key.parse("[]"));
        // Two files put together.
        String line = ENTRY.replace("\n", " ");
        assertEquals(List.of(ANN, ANN), Key.parse(line + "\n\n" + line + "\n"));
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "{", "1", "null", "[1]", "{\"items\":1}", "[{\"material\":\"secret-material\"}]",
        "[{\"id\":\"a\",\"material\":\"secret-material\",\"groups\":[1]}]", "[{\"a\":1,\"a\":2}]"})
    void refuses_other_texts_without_quoting_them(String text) {
        IllegalArgumentException refused = assertThrows(IllegalArgumentException.class, () -> Key.parse(text));
        assertFalse(refused.toString().contains("secret-material"));
    }

    @Test
    void refuses_private_keys_and_not_the_mark_of_a_list() {
        String entry = ENTRY.replace("\"groups\"", "\"private\":\"secret-material\",\"groups\"");
        for (String text : List.of(entry, "[" + entry + "]", "{\"keys\":[" + entry + "]}", "{\"items\":[" + entry + "]}")) {
            IllegalArgumentException refused = assertThrows(IllegalArgumentException.class, () -> Key.parse(text));
            assertTrue(refused.getMessage().contains("contain a private key"), refused.getMessage());
            assertFalse(refused.toString().contains("secret-material"));
        }
        assertEquals(List.of(ANN), Key.parse(entry.replace("\"secret-material\"", "true")));
        assertEquals(List.of(ANN), Key.parse(entry.replace("\"secret-material\"", "null")));
    }

    @Test
    void shows_no_material() {
        assertFalse(ANN.toString().contains("AHJG"));
    }
}
