package dev.signoff.json;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.signoff.error.InvalidException;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class JsonTest {
    @ParameterizedTest
    @ValueSource(strings = {
        "", " ", "{", "}", "[1,]", "[,1]", "{\"a\":1,}", "{\"a\"}", "{a:1}", "{1:1}", "'a'", "\"a", "\"\\x\"", "\"\\u12g4\"",
        "\"\\u\uff11234\"", "\"a\nb\"", "01", "-", "+1", "1.", ".5", "1e", "0x1", "NaN", "Infinity", "-Infinity", "tru",
        "nul", "null x", "1 2", "{} {}", "\ufeff{}", "// c\n1", "[1 2]", "{\"a\" 1}", "\u00a0 1",
    })
    void refuses_what_is_not_json(String text) {
        assertThrows(JsonException.class, () -> Json.parse(text));
    }

    @ParameterizedTest
    @ValueSource(strings = {
        "{\"a\":1,\"a\":1}", "{\"a\":1,\"\\u0061\":2}", "[{\"b\":{\"c\":1,\"d\":2,\"c\":3}}]",
    })
    void refuses_duplicate_members(String text) {
        JsonException refused = assertThrows(JsonException.class, () -> Json.parse(text));
        assertTrue(refused.getMessage().startsWith("duplicate member"), refused.getMessage());
    }

    @ParameterizedTest
    @ValueSource(strings = {"\"\\ud800\"", "\"\\udc00\\ud800\"", "\"\ud800\"", "{\"\\udfff\":1}"})
    void refuses_lone_surrogates(String text) {
        assertThrows(JsonException.class, () -> Json.parse(text));
    }

    @Test
    void limits_nesting_and_numbers() {
        assertEquals(List.of(), unwrapped(Json.parse("[".repeat(128) + "]".repeat(128))));
        for (int depth : new int[] {129, 100_000}) {
            String deep = "[".repeat(depth) + "]".repeat(depth);
            assertThrows(JsonException.class, () -> Json.parse(deep));
        }
        assertInstanceOf(BigInteger.class, Json.parse("9".repeat(5_000)));
        assertThrows(JsonException.class, () -> Json.parse("9".repeat(5_001)));
        assertThrows(JsonException.class, () -> Json.parse("1e99999999999"));
    }

    private static Object unwrapped(Object value) {
        while (!((List<?>) value).isEmpty()) {
            value = ((List<?>) value).get(0);
        }
        return value;
    }

    @Test
    void keeps_every_number() {
        assertEquals(Arrays.asList(0L, -42L, Long.MAX_VALUE, new BigInteger("9223372036854775808"), 1.0, -0.0, 0.1,
                1e300, new BigDecimal("1e400"), new BigDecimal("1e-400"), new BigDecimal("123456789012345678.91")),
                Json.parse("[0,-42,9223372036854775807,9223372036854775808,1.0,-0.0,0.1,1e300,1e400,1e-400,"
                        + "123456789012345678.91]"));
    }

    @Test
    void reads_escapes_and_order() {
        assertEquals("a\"\\/\b\f\n\r\té🔒", Json.parse("\"a\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\ud83d\\udd12\""));
        assertEquals("[z, a]", Json.parseObject("{\"z\":1,\"a\":2}").keySet().toString());
        assertThrows(JsonException.class, () -> Json.parseObject("[]"));
        assertThrows(UnsupportedOperationException.class, () -> Json.parseObject("{}").put("a", 1));
    }

    @Test
    void writes_what_it_reads() {
        String text = "{\"a\": [1, -2.5, true, false, null, \"\\\"\\\\\\u0001é\"], \"b\": {}, \"c\": []}";
        assertEquals(text, Json.write(Json.parse(text)));
        assertEquals("[1, 2]", Json.write(new Object[] {(byte) 1, (short) 2}));
    }

    @Test
    void refuses_values_without_a_form_and_names_their_place() {
        refused("/a/1", Map.of("a", List.of(1, new byte[1])));
        refused("/a~1b", Map.of("a/b", Double.NaN));
        refused("", Map.of(1, "a"));
        refused("/a", Map.of("a", new BigDecimal("1.10")));
        refused("/a", Map.of("a", new BigDecimal("1e999999999")));
        refused("/a", Map.of("a", java.time.Instant.EPOCH));
        refused("/a", Map.of("a", 'c'));
        refused("/a", Map.of("a", new RawJson("1, \"b\": 2")));
        refused("", Collections.singletonMap(null, 1));
        List<Object> cycle = new ArrayList<>();
        cycle.add(cycle);
        refused("/0", cycle);
    }

    @Test
    void bounds_the_text_of_shared_values() {
        List<?> value = List.of("a".repeat(1000));
        for (int i = 0; i < 40; i++) {
            value = List.of(value, value);
        }
        List<?> huge = value;
        assertEquals("limit-exceeded", assertThrows(InvalidException.class, () -> Json.write(huge)).code());
    }

    private static void refused(String pointer, Object value) {
        InvalidException refused = assertThrows(InvalidException.class, () -> Json.write(value));
        assertEquals("context-invalid", refused.code());
        assertTrue(refused.detail().startsWith("at `" + pointer), refused.detail());
    }
}
