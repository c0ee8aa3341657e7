package dev.signoff;

import dev.signoff.error.Problem;
import dev.signoff.error.RejectionException;
import dev.signoff.error.SignoffException;
import dev.signoff.json.Json;
import dev.signoff.json.RawJson;
import dev.signoff.verifier.Key;
import dev.signoff.verifier.Verifier;
import java.time.Clock;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Executor;

/**
 * A client of one server. Any number of threads may use it.
 *
 * <p>Every method throws {@link SignoffException}s by code: the server's refusals, {@code unreachable} without a
 * usable answer within the client's timeout, and {@code interrupted}, which keeps the thread's interrupt. Calls are
 * repeated while the connection fails, and for 429 and 503 with {@code Retry-After}; what changes something is
 * repeated with the same idempotency key.
 */
public final class Client {
    static final String VERSION = "0.1.0";

    /** A clock before this product existed is wrong, and would accept what has expired. */
    private static final Instant EARLIEST_NOW = Instant.parse("2025-01-01T00:00:00Z");
    /** The server waits up to 60 s; proxies in between often no longer than that. */
    private static final int WAIT_SECONDS_MAX = 50;
    /** A server that answers a wait at once is not called more often than this. */
    private static final Duration POLL_INTERVAL_MIN = Duration.ofSeconds(1);
    /** How much longer than an approval's expiry a pending one is waited for: clocks differ. */
    private static final Duration EXPIRY_GRACE = Duration.ofSeconds(60);
    private static final Duration LIFETIME_MAX = Duration.ofDays(7);

    private final Calls calls;
    private final Verifier verifier;
    private final Clock clock;
    private final Duration timeout;
    private final Trust trust;
    /** The key of the next change; null to make one for each. */
    private final String idempotencyKey;

    Client(Calls calls, Verifier verifier, Clock clock, Duration timeout, Trust trust, String idempotencyKey) {
        this.calls = calls;
        this.verifier = verifier;
        this.clock = clock;
        this.timeout = timeout;
        this.trust = trust;
        this.idempotencyKey = idempotencyKey;
    }

    /**
     * Begins a client.
     *
     * @return a builder without settings
     */
    public static ClientBuilder builder() {
        return new ClientBuilder();
    }

    /**
     * Makes a client with the settings of the environment and of the user's home.
     *
     * @return the client
     * @throws dev.signoff.error.InvalidException as {@link ClientBuilder#build}
     */
    public static Client fromEnvironment() {
        return builder().build();
    }

    /**
     * Returns the same client with methods that return at once.
     *
     * @param executor runs the calls; each occupies one of its threads, a wait or guard for as long as it takes
     * @return the client
     */
    public AsyncClient async(Executor executor) {
        return new AsyncClient(this, executor);
    }

    /**
     * Returns the same client for one change with an idempotency key of the caller's, which a later process can
     * repeat. Otherwise each call makes a key of its own. {@link #guard} always makes its own.
     *
     * @param key 1 to 255 printable ASCII characters
     * @return the client
     */
    public Client withIdempotencyKey(String key) {
        return new Client(calls, verifier, clock, timeout, trust, key);
    }

    /**
     * Returns the verifier of this process.
     *
     * @return the verifier
     */
    public Verifier verifier() {
        return verifier;
    }

    /**
     * Requests an approval.
     *
     * @param request what is to be approved
     * @return the pending approval
     * @throws dev.signoff.error.InvalidException if the context or plan is malformed, without a call
     */
    public Approval request(ApprovalRequest request) {
        return request(request, null);
    }

    Approval request(ApprovalRequest request, Deadline deadline) {
        Map<String, Object> members = request.members(canonical(request.action()));
        Call call = Call.post("/approvals", body(members), idempotencyKey);
        return new Approval(calls.send(call, callDeadline(deadline)));
    }

    /**
     * Returns an approval.
     *
     * @param id the approval
     * @return the approval as it is now
     */
    public Approval get(String id) {
        return approval(Call.get(Call.approval(id, ""), Map.of()), id);
    }

    /**
     * Lists approvals, newest first.
     *
     * @param query which, and which page
     * @return a page
     */
    public ApprovalPage list(ApprovalQuery query) {
        Body page = send(Call.get("/approvals", query.words()));
        List<Approval> items = new ArrayList<>();
        for (Object item : page.list("items")) {
            if (!(item instanceof Map<?, ?>)) {
                throw page.wrong("items");
            }
            String text = Json.writeDeep(item);
            items.add(new Approval(new Body(text, Json.parseObject(text), page.answer())));
        }
        return new ApprovalPage(items, page.optional("next_cursor"));
    }

    /**
     * Waits until an approval is decided, or has expired.
     *
     * @param id the approval
     * @return the approval; still pending if the server shows it so long after its expiry
     */
    public Approval wait(String id) {
        return wait(id, (Deadline) null);
    }

    /**
     * Waits until an approval is decided, or has expired.
     *
     * @param id the approval
     * @param limit how long to wait
     * @return the approval
     * @throws dev.signoff.error.TimedOutException if it is still pending then
     */
    public Approval wait(String id, Duration limit) {
        return wait(id, Deadline.after(limit, true));
    }

    Approval wait(String id, Deadline deadline) {
        Instant latest = now().plus(LIFETIME_MAX);
        while (true) {
            long begun = System.nanoTime();
            long left = deadline == null ? WAIT_SECONDS_MAX : deadline.left().toSeconds();
            Map<String, Object> query = new LinkedHashMap<>();
            query.put("wait", Math.min(WAIT_SECONDS_MAX, left));
            query.put("while", "pending");
            Deadline held = Deadline.after(timeout.plusSeconds(WAIT_SECONDS_MAX), false).orEarlier(deadline);
            Approval shown = approval(Call.get(Call.approval(id, ""), query), id, held);
            Instant expiry = shown.expiresAt().isBefore(latest) ? shown.expiresAt() : latest;
            if (!shown.isPending() || now().isAfter(expiry.plus(EXPIRY_GRACE))) {
                return shown;
            }
            Duration pause = POLL_INTERVAL_MIN.minusNanos(System.nanoTime() - begun);
            if (deadline != null && deadline.left().compareTo(pause) < 0) {
                pause = deadline.left();
            }
            if (!pause.isNegative()) {
                Calls.sleep(pause);
            }
            if (deadline != null && deadline.hasPassed()) {
                throw deadline.passed(null);
            }
        }
    }

    /**
     * Casts an approver's ballot.
     *
     * @param id the approval
     * @param decision the ballot
     * @return the approval
     */
    public Approval decide(String id, Decision decision) {
        return approval(Call.post(Call.approval(id, "/approve"), body(decision.members()), idempotencyKey), id);
    }

    /**
     * Asks the server whether an executor may proceed now. Changes nothing.
     *
     * @param id the approval
     * @param signature the signature of a stored ballot
     * @param action compared with what was approved, or null
     * @return the answer
     */
    public Verification verify(String id, String signature, Action action) {
        Map<String, Object> members =
                action == null ? new LinkedHashMap<>() : ApprovalRequest.membersOf(canonical(action));
        members.put("signature", signature);
        return Verification.of(send(Call.read(Call.approval(id, "/verify"), body(members))));
    }

    /**
     * Claims an approval for one execution, before the action runs.
     *
     * @param id the approval
     * @param action the action, with the context and plan that were approved
     * @param lease how long the execution may take, in whole seconds; null for 300 s
     * @return the approval with its execution
     */
    public Approval claim(String id, Action action, Duration lease) {
        return named(claimAny(id, action, lease), id);
    }

    /** Claims, and returns the answer also if it shows another approval: the guard reports its execution as failed. */
    Approval claimAny(String id, Action action, Duration lease) {
        Map<String, Object> members = ApprovalRequest.membersOf(canonical(action));
        if (lease != null) {
            members.put("lease_seconds", lease.toSeconds());
        }
        return new Approval(send(Call.post(Call.approval(id, "/execute"), body(members), idempotencyKey)));
    }

    /**
     * Reports how an execution ended.
     *
     * @param id the approval
     * @param executionId the execution
     * @param outcome {@code succeeded} or {@code failed}
     * @param detail at most 4 KiB, or null
     * @return the approval
     */
    public Approval report(String id, String executionId, String outcome, String detail) {
        Map<String, Object> members = new LinkedHashMap<>();
        members.put("execution_id", executionId);
        members.put("outcome", outcome);
        if (detail != null) {
            members.put("detail", detail);
        }
        return approval(Call.post(Call.approval(id, "/outcome"), body(members), idempotencyKey), id);
    }

    /**
     * Withdraws a request that was not claimed.
     *
     * @param id the approval
     * @return the approval
     */
    public Approval withdraw(String id) {
        return withdraw(id, callDeadline(null));
    }

    Approval withdraw(String id, Deadline deadline) {
        return approval(Call.post(Call.approval(id, "/withdraw"), "{}", idempotencyKey), id, deadline);
    }

    /**
     * Moves the expiry of a pending approval without ballots.
     *
     * @param id the approval
     * @param lifetime the new lifetime, from now, in whole seconds
     * @return the approval
     */
    public Approval extend(String id, Duration lifetime) {
        String body = body(Map.of("expires_in_seconds", lifetime.toSeconds()));
        return approval(Call.post(Call.approval(id, "/extend"), body, idempotencyKey), id);
    }

    /**
     * Returns the receipt of an approval, for {@link Verifier#verifyReceipt}.
     *
     * @param id the approval
     * @return the receipt exactly as it came
     */
    public String receipt(String id) {
        return send(Call.get(Call.approval(id, "/receipt"), Map.of())).text().strip();
    }

    /**
     * Returns the keys of the server, without those whose material is secret.
     *
     * @return the keys
     */
    public List<Key> keys() {
        Body shown = send(Call.get("/keys", Map.of()));
        shown.list("items");
        try {
            return Key.parse(shown.text());
        } catch (IllegalArgumentException e) {
            throw shown.wrong("items");
        }
    }

    /**
     * Asks the active policy about an action.
     *
     * @param action the action
     * @return the verdict
     */
    public Evaluation evaluate(Action action) {
        String body = body(ApprovalRequest.membersOf(canonical(action)));
        return Evaluation.of(send(Call.post("/guardrails/evaluate", body, idempotencyKey)));
    }

    /**
     * Follows the audit log. Roles: approver, auditor, admin.
     *
     * @param after the id of the event to begin after: "0" for the whole log, null for what happens from now on
     * @return the stream; close it
     * @throws dev.signoff.error.InvalidException if {@code after} is not the id of an event
     */
    public EventStream events(String after) {
        return new EventStream(calls.transport(), after, timeout);
    }

    /**
     * Runs a function once its action is approved: requests, waits, verifies, claims, verifies again, runs and
     * reports.
     *
     * <p>With pinned keys, approvals are verified by this process; otherwise the server is trusted. The function runs
     * at most once, on the canonical texts that were verified. What it throws is reported as {@code failed} with
     * its type alone, and thrown on. If the outcome cannot be reported, the result stands, and
     * {@link Execution#reported} is false. An error before the claim withdraws the request.
     *
     * @param request what is to be approved
     * @param function the action
     * @param <T> what it returns
     * @param <E> what it throws
     * @return its result
     * @throws E if the function throws it
     * @throws dev.signoff.error.InvalidException if the context or plan is malformed, keys are pinned without an
     *     audience, or a floor, profiles, policies or HMAC keys are set without pinned keys; nothing was sent
     * @throws dev.signoff.error.NotApprovedException if the action is rejected, denied, withdrawn or expired
     * @throws dev.signoff.error.TimedOutException if it was not decided in time
     * @throws SignoffException for every other reason not to run
     */
    public <T, E extends Exception> T guard(GuardRequest request, Guarded<T, E> function) throws E {
        return new Guard(withIdempotencyKey(null), trust, request).run(function);
    }

    /** Returns an action with canonical texts. */
    Action canonical(Action action) {
        try {
            String plan = action.plan() == null ? null : verifier.canonicalize(action.plan());
            return new Action(action.agent(), action.name(), verifier.canonicalize(action.context()), plan);
        } catch (RejectionException refused) {
            throw refused.asClientError();
        }
    }

    /**
     * Returns the time.
     *
     * @throws dev.signoff.error.UnavailableException ({@code clock-behind}) before 2025
     */
    Instant now() {
        Instant now = clock.instant();
        if (now.isBefore(EARLIEST_NOW)) {
            throw Problem.of("clock-behind", "the clock of this machine is before 2025").exception();
        }
        return now;
    }

    private Approval approval(Call call, String id, Deadline deadline) {
        return named(new Approval(calls.send(call, deadline)), id);
    }

    private static Approval named(Approval shown, String id) {
        if (!shown.id().equals(id)) {
            throw Problem.of("untrusted-answer", "the server shows another approval than was called").exception();
        }
        return shown;
    }

    private Body send(Call call) {
        return calls.send(call, callDeadline(null));
    }

    private Approval approval(Call call, String id) {
        return approval(call, id, callDeadline(null));
    }

    /** Returns the end of one call with its retries; the caller's deadline may be null. */
    private Deadline callDeadline(Deadline ofCaller) {
        return Deadline.after(timeout, false).orEarlier(ofCaller);
    }

    private static String body(Map<String, ?> members) {
        return Json.writeDeep(members);
    }
}
