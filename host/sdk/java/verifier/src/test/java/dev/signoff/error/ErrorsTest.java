package dev.signoff.error;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.ObjectInputStream;
import java.io.ObjectOutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;

class ErrorsTest {
    private static final Pattern ROW = Pattern.compile("\\| `([a-z-]+)` \\| ([0-9]+) \\| (.*?) \\|.*");

    @Test
    void every_code_of_the_product_has_its_title_and_class() throws IOException {
        List<String> lines = Files.readAllLines(Path.of("../../../../wit/codes.md"));
        int codes = 0;
        for (String line : lines) {
            var row = ROW.matcher(line);
            if (row.matches()) {
                codes++;
                SignoffException error = Problem.of(row.group(1), "why").exception();
                assertEquals(row.group(3), error.title());
                assertTrue(error.getClass() != SignoffException.class, row.group(1));
            }
        }
        assertTrue(codes > 40, "only " + codes + " codes");
    }

    @Test
    void unknown_codes_are_the_base_class() {
        assertEquals(SignoffException.class, Problem.of("of-tomorrow", "why").exception().getClass());
    }

    @Test
    void the_four_that_are_not_approved_have_one_base() {
        for (String code : List.of("rejected", "expired", "withdrawn", "policy-denied")) {
            assertInstanceOf(NotApprovedException.class, Problem.of(code, "why").exception());
        }
    }

    @Test
    void messages_escape_what_a_terminal_would_obey() {
        SignoffException error = Problem.of("rejected", "a\u001b[2Jb").commented("c\nd\u202ee").exception();
        assertEquals("rejected: a\\u{1b}[2Jb: c\\u{a}d\\u{202e}e", error.getMessage());
        assertEquals("c\nd\u202ee", error.comment());
        SignoffException longest = Problem.of("rejected", "a").commented("x".repeat(4096)).exception();
        assertEquals("rejected: a: " + "x".repeat(1000) + "…", longest.getMessage());
        assertEquals("policy-denied: why", Problem.of("policy-denied", "why").commented("why").exception().getMessage());
    }

    @Test
    void errors_can_be_serialized() throws IOException, ClassNotFoundException {
        Problem problem = new Problem("plan-mismatch", "t", "d", 403, "r-1", "appr_1", null, List.of("/a"));
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        try (ObjectOutputStream out = new ObjectOutputStream(bytes)) {
            out.writeObject(problem.exception());
        }
        try (ObjectInputStream in = new ObjectInputStream(new ByteArrayInputStream(bytes.toByteArray()))) {
            assertEquals(problem, ((MismatchException) in.readObject()).problem());
        }
    }
}
