package dev.signoff;

import dev.signoff.error.ForbiddenException;
import dev.signoff.error.NotApprovedException;
import dev.signoff.error.NotFoundException;
import dev.signoff.error.Problem;
import dev.signoff.error.RejectionException;
import dev.signoff.error.SignoffException;
import dev.signoff.error.VerifierTrappedException;
import dev.signoff.verifier.ApprovalCheck;
import dev.signoff.verifier.Key;
import dev.signoff.verifier.Proof;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Objects;
import java.util.function.Supplier;

/** One guarded action: request, wait, verify, claim, verify again, run, report. */
final class Guard {
    private static final Duration CLOCK_SKEW = Duration.ofSeconds(60);
    private static final Duration WITHDRAW_TIME_MAX = Duration.ofSeconds(5);

    private final Client client;
    private final Trust trust;
    private final GuardRequest request;
    /** The action with canonical texts. */
    private final Action action;
    private final Instant requestedAfter;
    /** The pinned keys that count; null until they are needed. */
    private List<Key> keys;

    Guard(Client client, Trust trust, GuardRequest request) {
        trust.requireComplete();
        this.client = client;
        this.trust = trust;
        this.request = request;
        action = client.canonical(request.request().action());
        requestedAfter = client.now().minus(CLOCK_SKEW);
    }

    <T, E extends Exception> T run(Guarded<T, E> function) throws E {
        Deadline deadline = request.timeout() == null ? null : Deadline.after(request.timeout(), true);
        // Before it is answered there is nothing that one could wait for: then the server is unavailable.
        Deadline answered = deadline == null ? null : new Deadline(deadline.nanos(), false);
        Approval requested = client.request(request.request().atLeast(trust.floor()), answered);
        String id = requested.id();
        Seen approved;
        try {
            Approval decided = client.wait(id, deadline);
            requireApproved(decided);
            approved = verified(decided, id, null);
            Duration left = Duration.between(client.now(), approved.expiresAt());
            if (!ClaimedIds.OF_PROCESS.add(id, left, System.nanoTime())) {
                throw untrusted("this process has claimed the approval before");
            }
        } catch (NotApprovedException ended) {
            throw about(id, ended);
        } catch (SignoffException failure) {
            withdraw(id);
            throw about(id, failure);
        } catch (RuntimeException | Error failure) {
            withdraw(id);
            throw failure;
        }
        return claimAndRun(id, approved, function);
    }

    /** What was verified, in one view of the approval. */
    private record Seen(Instant expiresAt, String context, String plan, List<String> approvers) {}

    private void requireApproved(Approval decided) {
        String code = switch (decided.status()) {
            case "approved" -> null;
            case "rejected" -> "rejected";
            // Still pending long after its expiry: the server does not say so, or its clock is wrong.
            case "pending", "expired" -> "expired";
            case "withdrawn" -> "withdrawn";
            case "executed" -> "already-executed";
            default -> "untrusted-answer";
        };
        if (code != null) {
            throw Problem.of(code, "the approval is " + decided.status()).commented(decided.comment()).exception();
        }
    }

    /** Verifies a view, with pinned keys; otherwise compares it with what was requested. */
    private Seen verified(Approval shown, String id, String executionId) {
        if (!trust.isPinned()) {
            return compared(shown, id, executionId);
        }
        if (keys == null) {
            keys = trust.strictest(keysOfServer());
        }
        ApprovalCheck check = new ApprovalCheck(shown.text(), id, trust.audience())
                .attempt(action.agent(), action.name(), action.context(), action.plan())
                .keys(keys)
                .accept(trust.accepted())
                .now(client.now())
                .requestedAfter(requestedAfter)
                .floor(trust.floor());
        if (trust.policies() != null) {
            check.policies(trust.policies());
        }
        if (executionId != null) {
            check.execution(executionId);
        }
        try {
            Proof proof = client.verifier().verifyApproval(check);
            List<String> approvers = proof.approvers().stream().map(Proof.Approver::approver).toList();
            return new Seen(proof.expiresAt(), proof.context(), proof.plan(), approvers);
        } catch (RejectionException refused) {
            throw refused.asClientError();
        }
    }

    private Seen compared(Approval shown, String id, String executionId) {
        String plan = action.plan() == null ? null : client.verifier().digest(action.plan());
        if (!shown.id().equals(id) || !shown.isFor(action, client.verifier().digest(action.context()), plan)) {
            throw untrusted("the server shows another approval than was requested");
        }
        if (executionId != null && !shown.isClaimed()) {
            throw untrusted("the answer to the claim shows an execution that has ended");
        }
        List<String> approvers = shown.approver() == null ? List.of() : List.of(shown.approver());
        return new Seen(shown.expiresAt(), action.context(), action.plan(), approvers);
    }

    /** Returns the server's keys; none if the token may not read them. */
    private List<Key> keysOfServer() {
        try {
            return client.keys();
        } catch (ForbiddenException | NotFoundException e) {
            if (e.status() == 403 || e.status() == 404) {
                return List.of();
            }
            throw e;
        }
    }

    private <T, E extends Exception> T claimAndRun(String id, Seen approved, Guarded<T, E> function) throws E {
        Approval claimed;
        try {
            claimed = client.claimAny(id, new Action(action.agent(), action.name(), approved.context(), approved.plan()),
                    request.lease());
        } catch (SignoffException failure) {
            throw about(id, failure);
        }
        String executionId = claimed.executionId();
        if (executionId == null) {
            throw about(id, untrusted("the answer to the claim names no execution"));
        }
        Execution execution;
        try {
            Seen again = verified(claimed, id, executionId);
            if (!again.context().equals(approved.context()) || !Objects.equals(again.plan(), approved.plan())) {
                throw untrusted("the answer to the claim differs from what was approved");
            }
            execution = new Execution(executionId, id, again.context(), again.plan(), again.approvers());
        } catch (SignoffException failure) {
            report(id, executionId, "failed", failure);
            throw about(id, failure);
        } catch (RuntimeException | Error failure) {
            report(id, executionId, "failed", failure);
            throw failure;
        }
        T result;
        try {
            result = function.run(execution);
        } catch (Throwable failure) {
            execution.setReported(report(id, executionId, "failed", failure));
            // Precise rethrow: E, or unchecked.
            throw failure;
        }
        execution.setReported(report(id, executionId, "succeeded", null));
        return result;
    }

    /** Reports an outcome with the type of the error: its text may hold secrets. Returns false if that failed. */
    private boolean report(String id, String executionId, String outcome, Throwable failure) {
        String detail = failure == null ? null : failure.getClass().getName();
        return uninterrupted(() -> {
            try {
                client.report(id, executionId, outcome, detail);
                return true;
            } catch (RuntimeException unreported) {
                return false;
            }
        });
    }

    /** Withdraws the request, as far as the server answers. */
    private void withdraw(String id) {
        uninterrupted(() -> {
            try {
                client.withdraw(id, Deadline.after(WITHDRAW_TIME_MAX, false));
                return true;
            } catch (RuntimeException unanswered) {
                return false;
            }
        });
    }

    /** Makes a last call also on a thread that was interrupted; the interrupt is kept. */
    private static boolean uninterrupted(Supplier<Boolean> call) {
        boolean interrupted = Thread.interrupted();
        try {
            return call.get();
        } finally {
            if (interrupted) {
                Thread.currentThread().interrupt();
            }
        }
    }

    private static SignoffException untrusted(String why) {
        return Problem.of("untrusted-answer", why).exception();
    }

    private static SignoffException about(String id, SignoffException error) {
        if (error.approvalId() != null) {
            return error;
        }
        Problem problem = error.problem().about(id);
        SignoffException named = error instanceof VerifierTrappedException
                // The same code of a server has another class.
                ? new VerifierTrappedException(problem)
                : problem.exception();
        named.initCause(error);
        return named;
    }
}
