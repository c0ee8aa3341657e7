package dev.signoff;

import java.time.Duration;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executor;
import java.util.concurrent.FutureTask;

/**
 * The methods of {@link Client} that take long, each on a thread of an executor; {@link #call} runs any other. On Java
 * 21 and later an executor of virtual threads makes waits cheap. Cancelling a future interrupts its call: a guard that
 * waits then withdraws its request, and one that runs reports {@code failed} if its function ends with an exception.
 */
public final class AsyncClient {
    private final Client client;
    private final Executor executor;

    AsyncClient(Client client, Executor executor) {
        this.client = client;
        this.executor = executor;
    }

    /**
     * As {@link Client#request}.
     *
     * @param request what is to be approved
     * @return the pending approval
     */
    public CompletableFuture<Approval> request(ApprovalRequest request) {
        return call(() -> client.request(request));
    }

    /**
     * As {@link Client#get}.
     *
     * @param id the approval
     * @return the approval as it is now
     */
    public CompletableFuture<Approval> get(String id) {
        return call(() -> client.get(id));
    }

    /**
     * As {@link Client#wait(String, Duration)}.
     *
     * @param id the approval
     * @param limit how long to wait
     * @return the approval
     */
    public CompletableFuture<Approval> wait(String id, Duration limit) {
        return call(() -> client.wait(id, limit));
    }

    /**
     * As {@link Client#claim}.
     *
     * @param id the approval
     * @param action the action
     * @param lease how long the execution may take; null for 300 s
     * @return the approval with its execution
     */
    public CompletableFuture<Approval> claim(String id, Action action, Duration lease) {
        return call(() -> client.claim(id, action, lease));
    }

    /**
     * As {@link Client#evaluate}.
     *
     * @param action the action
     * @return the verdict
     */
    public CompletableFuture<Evaluation> evaluate(Action action) {
        return call(() -> client.evaluate(action));
    }

    /**
     * As {@link Client#guard}; the function runs on a thread of the executor.
     *
     * @param request what is to be approved
     * @param function the action
     * @param <T> what it returns
     * @return its result
     */
    public <T> CompletableFuture<T> guard(GuardRequest request, Guarded<T, ?> function) {
        return call(() -> client.guard(request, function));
    }

    /**
     * Runs any call of the client on a thread of the executor.
     *
     * @param call the call
     * @param <T> what it returns
     * @return its result
     */
    public <T> CompletableFuture<T> call(Callable<T> call) {
        CompletableFuture<T> result = new CompletableFuture<>();
        FutureTask<Void> task = new FutureTask<>(() -> {
            try {
                result.complete(call.call());
            } catch (Throwable failure) {
                result.completeExceptionally(failure);
            }
            return null;
        });
        result.whenComplete((value, failure) -> {
            if (result.isCancelled()) {
                task.cancel(true);
            }
        });
        executor.execute(task);
        return result;
    }
}
