package dev.signoff;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import com.sun.net.httpserver.HttpsConfigurator;
import com.sun.net.httpserver.HttpsServer;
import dev.signoff.json.Json;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import javax.net.ssl.SSLContext;

/** A server in this process, whose answers a test decides. */
final class FakeServer implements AutoCloseable {
    /** What a client sent. */
    record Sent(String method, String path, Map<String, List<String>> headers, String body) {
        String header(String name) {
            List<String> values = headers.get(name);
            return values == null ? null : values.get(0);
        }

        String target() {
            return method + " " + path.replaceFirst("\\?.*", "");
        }
    }

    /** An answer; with a status of 0 the connection is closed instead. */
    record Reply(int status, String body, Map<String, String> headers) {
        static Reply of(int status, String body) {
            return new Reply(status, body, Map.of());
        }

        static Reply problem(int status, String code) {
            return problem(status, code, Map.of());
        }

        static Reply problem(int status, String code, Map<String, String> headers) {
            Map<String, Object> problem = Map.of("code", code, "title", "T", "detail", "said by the test", "status", status);
            return new Reply(status, Json.write(problem), headers);
        }
    }

    /** Answers a request. */
    interface Answers {
        Reply answer(Sent sent) throws Exception;
    }

    private final HttpServer server;
    private final ExecutorService threads = Executors.newCachedThreadPool();
    private final Answers answers;
    private final List<Sent> seen = new CopyOnWriteArrayList<>();

    FakeServer(Answers answers) throws IOException {
        this(answers, HttpServer.create());
    }

    /** Speaks TLS. */
    FakeServer(Answers answers, SSLContext tls) throws IOException {
        this(answers, secure(tls));
    }

    private static HttpServer secure(SSLContext tls) throws IOException {
        HttpsServer server = HttpsServer.create();
        server.setHttpsConfigurator(new HttpsConfigurator(tls));
        return server;
    }

    private FakeServer(Answers answers, HttpServer server) throws IOException {
        this.answers = answers;
        this.server = server;
        server.bind(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
        server.createContext("/", this::handle);
        server.setExecutor(threads);
        server.start();
    }

    String url() {
        return "http://127.0.0.1:" + port();
    }

    int port() {
        return server.getAddress().getPort();
    }

    List<Sent> seen() {
        return seen;
    }

    List<String> targets() {
        return seen.stream().map(Sent::target).toList();
    }

    ClientBuilder client() {
        return Client.builder().environment(Map.of("XDG_CONFIG_HOME", "/nonexistent")).url(url()).token("secret-token");
    }

    private void handle(HttpExchange exchange) throws IOException {
        try (exchange) {
            String body = new String(exchange.getRequestBody().readAllBytes(), StandardCharsets.UTF_8);
            Sent sent = new Sent(exchange.getRequestMethod(), exchange.getRequestURI().toString(),
                    Map.copyOf(exchange.getRequestHeaders()), body);
            seen.add(sent);
            Reply reply = answers.answer(sent);
            if (reply.status() == 0) {
                // Closing without a response closes the connection.
                return;
            }
            reply.headers().forEach(exchange.getResponseHeaders()::set);
            byte[] text = reply.body().getBytes(StandardCharsets.UTF_8);
            exchange.sendResponseHeaders(reply.status(), text.length == 0 ? -1 : text.length);
            exchange.getResponseBody().write(text);
        } catch (IOException gone) {
            throw gone;
        } catch (Exception wrong) {
            throw new IOException(wrong);
        }
    }

    @Override
    public void close() {
        server.stop(0);
        threads.shutdownNow();
    }
}
