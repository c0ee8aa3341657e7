package dev.signoff;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.signoff.error.UnavailableException;
import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class UnixTransportTest {
    private static final String ITEMS = "{\"items\":[]}";

    @TempDir
    private Path folder;

    /** Answers one connection, or keeps it open if there is no answer. */
    private Thread answer(ServerSocketChannel server, String answer) {
        Thread thread = new Thread(() -> {
            try (SocketChannel client = server.accept()) {
                client.read(ByteBuffer.allocate(4096));
                if (answer == null) {
                    client.read(ByteBuffer.allocate(1));
                } else {
                    client.write(ByteBuffer.wrap(answer.getBytes(StandardCharsets.UTF_8)));
                }
            } catch (IOException gone) {
                // The client closed first.
            }
        });
        thread.setDaemon(true);
        thread.start();
        return thread;
    }

    private Client client(Duration timeout) {
        return Client.builder().environment(Map.of("XDG_CONFIG_HOME", "/nonexistent"))
                .url("unix:" + folder.resolve("s")).token("secret").timeout(timeout).build();
    }

    private ServerSocketChannel server() throws IOException {
        return ServerSocketChannel.open(StandardProtocolFamily.UNIX).bind(UnixDomainSocketAddress.of(folder.resolve("s")));
    }

    @Test
    void calls_a_server() throws IOException {
        try (ServerSocketChannel server = server()) {
            answer(server, "HTTP/1.1 200 OK\r\nContent-Length: 12\r\nX-Request-Id: r\r\n\r\n" + ITEMS);
            assertEquals(0, client(Duration.ofSeconds(30)).keys().size());
        }
    }

    @Test
    void ends_at_the_time_limit_and_without_a_server() throws IOException {
        assertThrows(UnavailableException.class, () -> client(Duration.ofMillis(150)).keys());
        try (ServerSocketChannel server = server()) {
            answer(server, null);
            assertThrows(UnavailableException.class, () -> client(Duration.ofMillis(150)).keys());
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {
        "", "HTTP/1.1 200 OK", "HTTP/2 200 OK\r\n\r\n", "HTTP/1.1 20 OK\r\nContent-Length: 12\r\n\r\n" + ITEMS,
        "HTTP/1.1 200 OK\r\n\r\n" + ITEMS, "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n" + ITEMS,
        "HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n" + ITEMS, "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n" + ITEMS,
        "HTTP/1.1 200 OK\r\nContent-Length: 12\r\nContent-Length: 12\r\n\r\n" + ITEMS,
        "HTTP/1.1 200 OK\r\nContent-Length: 12\r\nTransfer-Encoding: chunked\r\n\r\n" + ITEMS,
        "HTTP/1.1 200 OK\r\nContent-Length : 12\r\n\r\n" + ITEMS, "HTTP/1.1 200 OK\r\nContent-Length: 12\r\n folded\r\n\r\n" + ITEMS,
    })
    void refuses_malformed_answers(String text) {
        assertThrows(IOException.class, () -> HttpAnswer.parse(text.getBytes(StandardCharsets.UTF_8)));
    }
}
