package dev.signoff;

import dev.signoff.error.Problem;
import dev.signoff.error.SignoffException;
import dev.signoff.json.Json;
import dev.signoff.json.RawJson;
import dev.signoff.verifier.Floor;
import dev.signoff.verifier.Verifier;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** The driver of the suite of all SDKs: one JSON command a line, one JSON answer a line. */
final class Driver {
    private final Verifier verifier = new Verifier();

    public static void main(String[] arguments) throws IOException {
        Driver driver = new Driver();
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            out.println(Json.writeDeep(driver.answer(line)));
        }
    }

    private Map<String, ?> answer(String line) {
        try {
            Command command = new Command(Json.parseObject(line));
            return switch (command.text("cmd")) {
                case "hello" ->
                    Map.of("sdk", "java", "version", Client.VERSION, "digest", verifier.digestOfModule());
                case "corpus" -> corpus(Path.of(command.text("path")));
                case "threads" -> threads(command.number("threads"), command.number("calls"));
                case "guard" -> guard(command);
                default -> Map.of("ok", new RawJson(method(command)));
            };
        } catch (SignoffException failure) {
            return Map.of("error", described(failure));
        } catch (Exception failure) {
            return Map.of("error", described(new SignoffException(Problem.of("driver", failure.toString()))));
        }
    }

    private Map<String, ?> corpus(Path file) throws Exception {
        Corpus found = Corpus.replay(verifier, file);
        return Map.of("calls", found.calls(), "wrong", found.wrong(), "transcript", found.transcript());
    }

    private Map<String, ?> threads(int threads, int calls) throws InterruptedException {
        int[] counts = Load.run(verifier, threads, calls);
        return Map.of("calls", counts[0], "wrong", counts[1]);
    }

    /** Returns the answer of a method, as text. */
    private String method(Command command) {
        Client client = client(command);
        String id = command.text("id");
        return switch (command.text("cmd")) {
            case "request" -> json(client.request(command.request()));
            case "wait" -> json(client.wait(id, command.seconds("timeout")));
            case "get" -> json(client.get(id));
            case "claim" -> json(client.claim(id, command.action(), null));
            case "evaluate" -> Json.writeDeep(client.evaluate(command.action()).json());
            default -> throw new IllegalArgumentException("unknown command");
        };
    }

    /** Returns all members on one line. */
    private static String json(Approval approval) {
        return Json.writeDeep(approval.json());
    }

    /** What a guard did. */
    private static final class Seen {
        private int runs;
        private Execution execution;
    }

    private Map<String, ?> guard(Command command) {
        Seen seen = new Seen();
        Map<String, Object> error = null;
        try {
            GuardRequest request = new GuardRequest(command.request());
            if (command.seconds("timeout") != null) {
                request.timeout(command.seconds("timeout"));
            }
            client(command).guard(request, execution -> {
                seen.runs++;
                seen.execution = execution;
                if (command.is("fail")) {
                    throw new IllegalStateException("a secret of the function");
                }
                return null;
            });
        } catch (SignoffException failure) {
            error = described(failure);
        } catch (IllegalStateException failure) {
            error = described(new SignoffException(Problem.of("function-failed", "the function failed")));
        }
        Map<String, Object> answer = new LinkedHashMap<>();
        answer.put("runs", seen.runs);
        answer.put("ran_on", seen.execution == null ? null : seen.execution.contextText());
        answer.put("approval_id", seen.execution != null ? seen.execution.approvalId()
                : error == null ? null : error.get("approval_id"));
        answer.put("reported", seen.execution != null && seen.execution.reported());
        answer.put("error", error);
        return answer;
    }

    private Client client(Command command) {
        ClientBuilder builder = Client.builder()
                .url(command.text("url"))
                .token(command.text("token"))
                .verifier(verifier);
        if (command.is("pinned")) {
            builder.keys(Path.of(command.text("keys"))).audience(command.text("audience"));
        } else {
            builder.trustServer();
        }
        if (command.get("floor") != null) {
            builder.floor(command.floor());
        }
        if (command.get("accept") instanceof List<?> profiles) {
            builder.accept(profiles.stream().map(String.class::cast).toList());
        }
        if (command.is("allow_hmac")) {
            builder.allowHmac();
        }
        if (command.seconds("call_timeout") != null) {
            builder.timeout(command.seconds("call_timeout"));
        }
        return builder.build();
    }

    private static Map<String, Object> described(SignoffException failure) {
        Map<String, Object> error = new HashMap<>();
        error.put("type", failure.getClass() == SignoffException.class ? "SignoffError"
                : failure.getClass().getSimpleName().replace("Exception", ""));
        error.put("code", failure.code());
        error.put("comment", failure.comment());
        error.put("message", failure.getMessage());
        error.put("members", failure.members());
        error.put("request_id", failure.requestId());
        error.put("status", failure.status());
        error.put("approval_id", failure.approvalId());
        return error;
    }

    /** The arguments of a command. */
    private record Command(Map<String, Object> json) {
        Object get(String name) {
            return json.get(name);
        }

        String text(String name) {
            return (String) json.get(name);
        }

        boolean is(String name) {
            return Boolean.TRUE.equals(json.get(name));
        }

        int number(String name) {
            return ((Number) json.get(name)).intValue();
        }

        Duration seconds(String name) {
            return json.get(name) instanceof Number number
                    ? Duration.ofMillis(Math.round(number.doubleValue() * 1000)) : null;
        }

        Action action() {
            Action action = Action.of(text("agent"), text("action"), new RawJson(text("context")));
            return text("plan") == null ? action : action.withPlan(new RawJson(text("plan")));
        }

        ApprovalRequest request() {
            ApprovalRequest request = new ApprovalRequest(action()).reason(text("reason"));
            if (get("threshold") != null) {
                request.threshold(number("threshold"));
            }
            groups(json).forEach(request::group);
            if (get("expires_in_seconds") != null) {
                request.expiresIn(seconds("expires_in_seconds"));
            }
            return request;
        }

        Floor floor() {
            Map<?, ?> floor = (Map<?, ?>) get("floor");
            Object threshold = floor.get("threshold");
            Object ttl = floor.get("ttl_seconds");
            return new Floor(threshold == null ? null : ((Number) threshold).intValue(), groups(floor),
                    ttl == null ? null : Duration.ofSeconds(((Number) ttl).longValue()));
        }

        private static Map<String, Integer> groups(Map<?, ?> holder) {
            Map<String, Integer> groups = new HashMap<>();
            if (holder.get("groups") instanceof Map<?, ?> named) {
                named.forEach((name, count) -> groups.put((String) name, ((Number) count).intValue()));
            }
            return groups;
        }
    }
}
