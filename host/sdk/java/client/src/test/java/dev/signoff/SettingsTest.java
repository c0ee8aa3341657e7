package dev.signoff;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.signoff.error.InvalidException;
import dev.signoff.error.NotFoundException;
import java.io.IOException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class SettingsTest {
    private static final String SOME_ID = "appr_01k7s2e3m8q4w6x9y0z1a2b3c4";

    @TempDir
    private Path config;

    private final Map<String, String> environment = new HashMap<>();

    private Settings settings() {
        environment.putIfAbsent("XDG_CONFIG_HOME", config.toString());
        return new Settings(environment);
    }

    private Path home(String text, String permissions) throws IOException {
        Path file = config.resolve("signoff/client.json");
        Files.createDirectories(file.getParent());
        Files.writeString(file, text);
        return Files.setPosixFilePermissions(file, PosixFilePermissions.fromString(permissions));
    }

    @Test
    void environment_comes_before_home() throws IOException {
        home("{\"server\":\"http://home\",\"keys\":\"keys.json\",\"of_tomorrow\":1}", "rw-------");
        environment.put("SIGNOFF_SERVER", "http://environment");
        environment.put("SIGNOFF_TOKEN", "");
        assertEquals("http://environment", settings().text("SIGNOFF_SERVER", "server"));
        assertEquals(config.resolve("signoff/keys.json"), settings().path("SIGNOFF_KEYS", "keys"));
        assertEquals(null, settings().text("SIGNOFF_TOKEN", "token"));
        environment.put("SIGNOFF_KEYS", "other.json");
        assertEquals(Path.of("other.json"), settings().path("SIGNOFF_KEYS", "keys"));
    }

    @Test
    void a_home_file_of_others_or_a_malformed_one_is_refused() throws IOException {
        for (String permissions : new String[] {"rw-r-----", "rw--w----", "rw----r--", "rw-----w-"}) {
            home("{}", permissions);
            assertThrows(InvalidException.class, this::settings, permissions);
        }
        for (String text : new String[] {"", "[]", "{\"server\":\"a\",\"server\":\"b\"}", " ".repeat((1 << 20) + 1)}) {
            home(text, "rw-------");
            assertThrows(InvalidException.class, this::settings);
        }
        home("{\"server\":1}", "rw-------");
        Settings settings = settings();
        assertThrows(InvalidException.class, () -> settings.text("SIGNOFF_SERVER", "server"));
    }

    @Test
    void a_home_file_that_is_not_regular_is_refused_without_waiting() throws IOException, InterruptedException {
        Path file = home("{}", "rw-------");
        Files.delete(file);
        // Opening it would wait for a writer.
        assertEquals(0, new ProcessBuilder("mkfifo", "-m", "600", file.toString()).start().waitFor());
        assertTrue(assertThrows(InvalidException.class, this::settings).detail().contains("not a regular file"));
        Path pipe = Files.move(file, config.resolve("pipe"));
        Files.createSymbolicLink(file, pipe);
        assertTrue(assertThrows(InvalidException.class, this::settings).detail().contains("not a regular file"));
        Files.delete(file);
        Files.createDirectory(file);
        assertTrue(assertThrows(InvalidException.class, this::settings).detail().contains("not a regular file"));
    }

    @Test
    void a_link_to_a_private_home_file_is_read_and_to_another_one_refused() throws IOException {
        Path file = home("{\"server\":\"http://home\"}", "rw-------");
        Path real = Files.move(file, config.resolve("real.json"));
        Files.createSymbolicLink(file, real);
        assertEquals("http://home", settings().text("SIGNOFF_SERVER", "server"));
        Files.setPosixFilePermissions(real, PosixFilePermissions.fromString("rw-r--r--"));
        assertThrows(InvalidException.class, this::settings);
        Files.delete(real);
        assertEquals(null, settings().text("SIGNOFF_SERVER", "server"));
    }

    @Test
    void a_home_file_of_another_user_is_refused() throws IOException {
        Path file = home("{}", "rw-------");
        try {
            Files.setAttribute(file, "unix:uid", 12345);
        } catch (FileSystemException onlyRootCanGiveItAway) {
            Assumptions.abort("only root can give a file to another user");
        }
        assertTrue(assertThrows(InvalidException.class, this::settings).detail().contains("another user"));
    }

    @Test
    void token_and_authorities_of_home_are_for_its_server_only() throws IOException {
        AtomicReference<String> sent = new AtomicReference<>();
        try (FakeServer server = new FakeServer(request -> {
            sent.set(request.header("Authorization"));
            return FakeServer.Reply.problem(404, "not-found");
        })) {
            for (String member : new String[] {"", "\"server\":\"https://a.example\",",
                "\"server\":\"" + server.url() + "/\",", "\"server\":\"" + server.url() + "\","}) {
                home("{" + member + "\"token\":\"of-home\"}", "rw-------");
                String expected = member.contains(server.url() + "\"") ? "Bearer of-home" : null;
                for (ClientBuilder builder : List.of(ofHome().url(server.url()),
                        ofHome(Map.of("SIGNOFF_SERVER", server.url())))) {
                    sent.set("nothing was sent");
                    Client client = builder.build();
                    assertThrows(NotFoundException.class, () -> client.get(SOME_ID), member);
                    assertEquals(expected, sent.get(), member);
                }
            }
            Client own = ofHome(Map.of("SIGNOFF_TOKEN", "of-environment")).url(server.url()).build();
            assertThrows(NotFoundException.class, () -> own.get(SOME_ID));
            assertEquals("Bearer of-environment", sent.get());
        }
        // The file of authorities is absent: only the client that would use it fails.
        home("{\"server\":\"https://a.example\",\"ca\":\"absent.pem\"}", "rw-------");
        ofHome().url("https://b.example").build();
        assertThrows(InvalidException.class, () -> ofHome().build());
        assertThrows(InvalidException.class, () -> ofHome().url("https://a.example").build());
        ClientBuilder named = ofHome(Map.of("SIGNOFF_CA", config.resolve("absent.pem").toString()));
        assertThrows(InvalidException.class, () -> named.url("https://b.example").build());
    }

    @Test
    void addresses() {
        assertEquals(new Address("https://a.example/base", true, false, null), Address.parse("https://a.example/base//"));
        for (String loopback : new String[] {"http://localhost:1", "http://127.9.9.9", "http://[::1]:1"}) {
            assertTrue(Address.parse(loopback).isLoopback(), loopback);
        }
        for (String other : new String[] {"http://127.0.0.1.example", "http://localhost.example", "http://10.0.0.1"}) {
            assertTrue(!Address.parse(other).isLoopback(), other);
        }
        assertEquals(Path.of("/run/s.sock"), Address.parse("unix:/run/s.sock").socket());
        for (String wrong : new String[] {"", "a.example", "ftp://a", "http://", "http://a?b", "http://a#b", "unix:",
            "http://u:p@a", "http://a b"}) {
            assertThrows(InvalidException.class, () -> Address.parse(wrong), wrong);
        }
    }

    @Test
    void a_token_is_not_sent_in_plain_text() {
        ClientBuilder builder = builder().url("http://10.0.0.1").token("secret");
        assertThrows(InvalidException.class, builder::build);
        builder.insecureHttp().build();
        builder().url("https://a.example").token("secret").build();
        assertThrows(InvalidException.class, () -> builder().build());
    }

    @Test
    void files_of_keys_and_authorities_must_be_readable() throws IOException {
        Path wrong = Files.writeString(config.resolve("wrong"), "no PEM, no keys");
        assertThrows(InvalidException.class, () -> builder().url("https://a").keys(wrong).build());
        assertThrows(InvalidException.class, () -> builder().url("https://a").keys(config.resolve("absent")).build());
        assertThrows(InvalidException.class, () -> builder().url("https://a").ca(wrong).build());
        assertThrows(InvalidException.class, () -> builder().url("https://a").ca(config.resolve("absent")).build());
        // Without an error if the server is trusted on purpose.
        builder().url("https://a").keys(wrong).trustServer().build();
    }

    private ClientBuilder ofHome() {
        return ofHome(Map.of());
    }

    private ClientBuilder ofHome(Map<String, String> more) {
        Map<String, String> variables = new HashMap<>(more);
        variables.put("XDG_CONFIG_HOME", config.toString());
        return Client.builder().environment(variables);
    }

    private ClientBuilder builder() {
        return Client.builder().environment(Map.of("XDG_CONFIG_HOME", config.resolve("none").toString()));
    }
}
