package dev.signoff.verifier;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.signoff.error.SignoffException;
import dev.signoff.json.Json;
import dev.signoff.json.RawJson;
import java.io.IOException;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;

/** The values that all SDKs share: each has this canonical text, or is refused. */
class ValuesTest {
    private static final Path TABLE = Path.of("../../values.json");
    private static final Verifier VERIFIER = new Verifier();

    @TestFactory
    Stream<DynamicTest> values() throws IOException {
        List<?> rows = (List<?>) Json.parseObject(Files.readString(TABLE)).get("values");
        assertTrue(rows.size() > 40);
        return rows.stream().map(row -> (Map<?, ?>) row)
                .filter(row -> !(row.get("only") instanceof List<?> only) || only.contains("java"))
                .map(row -> DynamicTest.dynamicTest((String) row.get("name"), () -> check(row)));
    }

    private static void check(Map<?, ?> row) {
        Map<Object, Object> expected = new HashMap<>(row);
        if (row.get("java") instanceof Map<?, ?> ours) {
            expected.keySet().removeAll(List.of("canonical", "refused"));
            expected.putAll(ours);
        }
        Map<String, Object> context = new HashMap<>();
        context.put("v", value((Map<?, ?>) row.get("native")));
        if (expected.get("refused") instanceof String place) {
            SignoffException refused = assertThrows(SignoffException.class, () -> VERIFIER.canonicalize(context));
            assertEquals("context-invalid", refused.code());
            assertTrue(refused.detail().contains(place), refused.detail());
        } else if (expected.get("canonical") instanceof String canonical) {
            assertEquals(canonical, VERIFIER.canonicalize(context));
        } else {
            VERIFIER.canonicalize(context);
        }
    }

    private static Object value(Map<?, ?> described) {
        Map.Entry<?, ?> entry = described.entrySet().iterator().next();
        Object given = entry.getValue();
        return switch ((String) entry.getKey()) {
            case "null" -> null;
            case "true" -> true;
            case "false" -> false;
            case "int" -> integer((String) given);
            case "float" -> Double.valueOf((String) given);
            case "decimal" -> new BigDecimal((String) given);
            case "string" -> given;
            case "utf16" -> utf16((String) given);
            case "bytes" -> HexFormat.of().parseHex((String) given);
            case "list" -> ((List<?>) given).stream().map(item -> value((Map<?, ?>) item)).collect(
                    ArrayList::new, ArrayList::add, ArrayList::addAll);
            case "map" -> map((List<?>) given);
            case "intkey" -> Map.of(1, 1);
            case "cycle" -> {
                List<Object> cycle = new ArrayList<>();
                cycle.add(cycle);
                yield cycle;
            }
            case "nested" -> {
                Object nested = 1;
                for (int i = 0; i < (Long) given; i++) {
                    nested = List.of(nested);
                }
                yield nested;
            }
            case "raw" -> new RawJson((String) given);
            default -> throw new IllegalArgumentException("unknown kind " + entry.getKey());
        };
    }

    private static Object integer(String digits) {
        BigInteger value = new BigInteger(digits);
        return value.bitLength() < Long.SIZE ? (Object) value.longValue() : value;
    }

    private static String utf16(String hex) {
        StringBuilder text = new StringBuilder();
        for (int i = 0; i < hex.length(); i += 4) {
            text.append((char) Integer.parseInt(hex.substring(i, i + 4), 16));
        }
        return text.toString();
    }

    private static Map<Object, Object> map(List<?> pairs) {
        Map<Object, Object> map = new LinkedHashMap<>();
        for (Object pair : pairs) {
            List<?> both = (List<?>) pair;
            map.put(both.get(0), value((Map<?, ?>) both.get(1)));
        }
        return map;
    }
}
