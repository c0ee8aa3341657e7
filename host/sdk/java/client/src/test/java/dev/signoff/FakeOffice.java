package dev.signoff;

import dev.signoff.error.RejectionException;
import dev.signoff.json.Json;
import dev.signoff.json.RawJson;
import dev.signoff.verifier.Key;
import dev.signoff.verifier.Statement;
import dev.signoff.verifier.Verifier;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.UnaryOperator;

/** An honest server of approvals, made of the verifier's own state machine; a test can falsify its answers. */
final class FakeOffice implements FakeServer.Answers {
    static final String AUDIENCE = "prod";
    /** Ids differ over all tests: a process claims each only once. */
    private static final AtomicInteger NUMBERS = new AtomicInteger();

    final Verifier verifier = new Verifier();
    final Approver ann = new Approver("ann");
    final List<Key> keys = new ArrayList<>(List.of(ann.key()));
    /** What approvers do with a request: {@code approved}, {@code rejected}, {@code withdrawn} or nothing. */
    String decision = "approved";
    /** Whether the server drops what requests require. */
    boolean weakens;
    /** By route (create, show, execute, outcome, withdraw, keys): changes an answer. */
    final Map<String, UnaryOperator<Map<String, Object>>> lies = new HashMap<>();
    /** By route: answers instead. */
    final Map<String, FakeServer.Reply> refusals = new HashMap<>();
    /** The outcome that was reported, and its detail. */
    Map<String, Object> outcome;

    private final Map<String, String> records = new HashMap<>();
    private final Map<String, Action> actions = new HashMap<>();

    @Override
    public synchronized FakeServer.Reply answer(FakeServer.Sent sent) {
        String[] words = sent.path().replaceFirst("\\?.*", "").substring("/api/v1/".length()).split("/");
        String route = words.length == 1 ? words[0].equals("keys") ? "keys" : "create"
                : words.length == 2 ? "show" : words[2];
        if (refusals.containsKey(route)) {
            return refusals.get(route);
        }
        Map<String, Object> body = sent.body().isEmpty() ? Map.of() : Json.parseObject(sent.body());
        try {
            Map<String, Object> answer = switch (route) {
                case "keys" -> Map.of("items", keys.stream().map(FakeOffice::shown).toList());
                case "create" -> create(body);
                case "show" -> withTexts(show(words[1]), words[1]);
                case "execute" -> claim(words[1], body);
                case "outcome" -> settle(words[1], body);
                case "withdraw" -> change("lifecycle.withdraw", words[1],
                        Map.of("withdrawal", Json.write(Map.of("actor", actor()))));
                default -> throw new IllegalArgumentException(route);
            };
            UnaryOperator<Map<String, Object>> lie = lies.get(route);
            return FakeServer.Reply.of(200, Json.writeDeep(lie == null ? answer : lie.apply(answer)));
        } catch (RejectionException refused) {
            return FakeServer.Reply.problem(409, refused.code());
        }
    }

    private Map<String, Object> create(Map<String, Object> body) {
        String id = "appr_" + String.format("%026d", NUMBERS.incrementAndGet());
        Map<String, Object> request = new LinkedHashMap<>();
        request.put("id", id);
        request.put("audience", AUDIENCE);
        request.put("agent", body.get("agent"));
        request.put("action", body.get("action"));
        request.put("requested_by", "agent:" + body.get("agent"));
        if (!weakens && body.get("requirement") != null) {
            request.put("requirement", body.get("requirement"));
        }
        String plan = body.get("plan") == null ? null : Json.write(body.get("plan"));
        Action action = new Action((String) body.get("agent"), (String) body.get("action"),
                Json.write(body.get("context")), plan);
        Map<String, Object> args = new LinkedHashMap<>();
        args.put("request", Json.write(request));
        args.put("context", action.context());
        args.put("plan", plan);
        args.put("accept", List.of("v2"));
        args.put("now", now());
        Map<?, ?> opened = (Map<?, ?>) verifier.call("lifecycle.open", args);
        records.put(id, (String) opened.get("record"));
        actions.put(id, action);
        Map<String, Object> answer = withTexts(view(opened), id);
        if (decision.equals("withdrawn")) {
            change("lifecycle.withdraw", id, Map.of("withdrawal", Json.write(Map.of("actor", actor()))));
        } else if (!decision.isEmpty()) {
            cast(id, ann, decision, decision.equals("rejected") ? "too risky" : "");
        }
        return answer;
    }

    void cast(String id, Approver approver, String decided, String comment) {
        Map<String, Object> shown = show(id);
        Statement statement = new Statement(AUDIENCE, approver.keyId(), id, (String) shown.get("request_digest"),
                Instant.parse((String) shown.get("expires_at")), decided, approver.email(), comment);
        Map<String, Object> ballot = new LinkedHashMap<>();
        ballot.put("decision", decided);
        ballot.put("approver", approver.email());
        ballot.put("comment", comment.isEmpty() ? null : comment);
        ballot.put("signature", approver.sign(verifier, statement));
        change("lifecycle.decide", id, Map.of("ballot", Json.write(ballot), "keys",
                List.of(shownToVerifier(approver.key())), "accept", List.of("v2")));
    }

    private Map<String, Object> claim(String id, Map<String, Object> body) {
        Map<String, Object> claim = Map.of("agent", body.get("agent"), "action", body.get("action"), "claimed_by",
                "agent:" + body.get("agent"), "execution_id", "exec_" + String.format("%026d", NUMBERS.incrementAndGet()));
        Map<String, Object> args = new HashMap<>();
        args.put("claim", Json.write(claim));
        args.put("context", Json.write(body.get("context")));
        args.put("plan", body.get("plan") == null ? null : Json.write(body.get("plan")));
        args.put("keys", List.of(shownToVerifier(ann.key())));
        args.put("accept", List.of("v2"));
        return change("lifecycle.claim", id, args);
    }

    private Map<String, Object> settle(String id, Map<String, Object> body) {
        outcome = body;
        Map<String, Object> settled = new HashMap<>(body);
        settled.put("actor", actor());
        return change("lifecycle.settle", id, Map.of("outcome", Json.write(settled)));
    }

    private static Map<String, Object> actor() {
        return Map.of("subject", "agent:deployer", "roles", List.of("executor", "admin"));
    }

    Map<String, Object> show(String id) {
        return view((Map<?, ?>) verifier.call("lifecycle.show", arguments(id)));
    }

    private Map<String, Object> change(String op, String id, Map<String, Object> more) {
        Map<String, Object> args = arguments(id);
        args.putAll(more);
        Map<?, ?> changed = (Map<?, ?>) verifier.call(op, args);
        records.put(id, (String) changed.get("record"));
        return view(changed);
    }

    private Map<String, Object> arguments(String id) {
        Map<String, Object> args = new HashMap<>();
        args.put("id", id);
        args.put("approval", records.get(id));
        args.put("now", now());
        return args;
    }

    private static Map<String, Object> view(Map<?, ?> answer) {
        return new LinkedHashMap<>(Json.parseObject((String) answer.get("view")));
    }

    private Map<String, Object> withTexts(Map<String, Object> view, String id) {
        Action action = actions.get(id);
        view.put("context", new RawJson(action.context()));
        view.put("plan", action.plan() == null ? null : new RawJson(action.plan()));
        return view;
    }

    private static Map<String, Object> shown(Key key) {
        Map<String, Object> shown = new LinkedHashMap<>(shownToVerifier(key));
        shown.put("public_key", shown.remove("material"));
        return shown;
    }

    private static Map<String, Object> shownToVerifier(Key key) {
        Map<String, Object> entry = new LinkedHashMap<>();
        entry.put("id", key.id());
        entry.put("algorithm", key.algorithm());
        entry.put("material", key.material());
        entry.put("status", key.status());
        entry.put("use", key.use());
        entry.put("approver", key.approver());
        entry.put("groups", key.groups());
        return entry;
    }

    private static long now() {
        return Instant.now().getEpochSecond();
    }
}
