package dev.signoff;

import dev.signoff.json.Json;
import dev.signoff.verifier.Key;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.net.ServerSocket;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** {@code signoff serve} on a new store, with one approver and one executor. */
final class LiveServer {
    static final String AUDIENCE = "examples";
    static final String APPROVER = "ann@company.com";

    private final Path folder;
    private final Path socket;
    private final String url;
    private final Process process;
    private final String admin;
    private final String approver;
    private final String executor;
    private final String auditor;
    private final List<Key> keys;

    LiveServer(Path folder) throws IOException, InterruptedException {
        this.folder = folder;
        socket = folder.resolve("s.sock");
        for (String name : new String[] {"server", "ann"}) {
            Files.createDirectory(folder.resolve(name));
        }
        admin = (String) Json.parseObject(run("server", "init", "--audience", AUDIENCE, "--json")).get("admin_token");
        String made = run("ann", "key", "generate", "--id", "ann", "--approver", APPROVER);
        String entry = made.lines().filter(line -> line.startsWith("{")).findFirst().orElseThrow();
        keys = Key.parse(entry);
        run("server", "key", "import", entry, "--approver", APPROVER, "--yes");
        approver = token(APPROVER, "approver");
        executor = token("agent:deployer", "requester", "executor");
        auditor = token("auditor@company.com", "auditor");
        int port = freePort();
        url = "http://127.0.0.1:" + port;
        process = command("server", List.of("serve", "--quiet", "--listen", "127.0.0.1:" + port, "--listen", "unix:" + socket))
                .redirectOutput(ProcessBuilder.Redirect.DISCARD)
                .start();
        awaitReady();
    }

    private static int freePort() throws IOException {
        try (var listener = new ServerSocket(0)) {
            return listener.getLocalPort();
        }
    }

    private void awaitReady() throws InterruptedException {
        HttpRequest ready = HttpRequest.newBuilder(URI.create(url + "/readyz")).build();
        HttpClient http = HttpClient.newHttpClient();
        while (true) {
            try {
                if (http.send(ready, HttpResponse.BodyHandlers.discarding()).statusCode() == 200) {
                    return;
                }
            } catch (IOException notYet) {
                if (!process.isAlive()) {
                    throw new IllegalStateException("the server exited with " + process.exitValue());
                }
            }
            Thread.sleep(50);
        }
    }

    private String token(String subject, String... roles) throws IOException, InterruptedException {
        List<String> words = new ArrayList<>(List.of("token", "create", "--subject", subject, "--json"));
        for (String role : roles) {
            words.addAll(List.of("--role", role));
        }
        return (String) Json.parseObject(run("server", words.toArray(String[]::new))).get("token");
    }

    String url() {
        return url;
    }

    Path socket() {
        return socket;
    }

    String executor() {
        return executor;
    }

    String auditor() {
        return auditor;
    }

    List<Key> keys() {
        return keys;
    }

    void approve(String id) {
        decide("approve", id);
    }

    void reject(String id) {
        decide("reject", id);
    }

    private void decide(String word, String id) {
        try {
            run("ann", word, id, "--yes", "--server", url, "--token", approver);
        } catch (IOException | InterruptedException e) {
            throw new IllegalStateException(e);
        }
    }

    /** Runs a command in a folder, and returns its output. */
    String run(String where, String... words) throws IOException, InterruptedException {
        Process ran = command(where, List.of(words)).start();
        String out;
        try (BufferedReader reader = new BufferedReader(
                new InputStreamReader(ran.getInputStream(), StandardCharsets.UTF_8))) {
            out = String.join("\n", reader.lines().toList());
        }
        if (ran.waitFor() != 0) {
            throw new IllegalStateException("signoff " + words[0] + " exited with " + ran.exitValue());
        }
        return out;
    }

    private ProcessBuilder command(String where, List<String> words) {
        List<String> command = new ArrayList<>(words);
        command.add(0, Path.of(System.getenv("SIGNOFF_BIN")).toAbsolutePath().toString());
        ProcessBuilder builder = new ProcessBuilder(command)
                .directory(folder.resolve(where).toFile())
                .redirectError(ProcessBuilder.Redirect.INHERIT);
        builder.environment().keySet().removeIf(name -> name.startsWith("SIGNOFF_"));
        builder.environment().put("XDG_CONFIG_HOME", folder.resolve("none").toString());
        builder.environment().put("SIGNOFF_CACHE_DIR", folder.resolve("cache").toString());
        if (admin != null) {
            builder.environment().put("SIGNOFF_TOKEN", admin);
        }
        return builder;
    }

    void stop() throws InterruptedException {
        process.destroy();
        process.waitFor();
    }
}
