package dev.signoff.verifier;

import dev.signoff.error.Problem;
import dev.signoff.error.VerifierTrappedException;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.Semaphore;
import java.util.function.Function;
import run.endive.runtime.WasmInterruptedException;

/**
 * Instances, each for one call at a time. An instance that trapped or grew large is dropped. Calls beyond the
 * number of processors wait: they could not run sooner, and each would need memory of its own.
 */
final class Pool {
    private static final int SIZE = Math.max(2, Runtime.getRuntime().availableProcessors());

    private final ArrayBlockingQueue<CoreInstance> idle = new ArrayBlockingQueue<>(SIZE);
    private final Semaphore running = new Semaphore(SIZE);

    /**
     * Makes a call with an instance of its own. A call is pure, so it is repeated if the thread was interrupted,
     * which the runtime notices in loops; the interrupt is kept for the caller.
     *
     * @throws VerifierTrappedException if the instance trapped
     */
    <T> T with(Function<CoreInstance, T> call) {
        boolean interrupted = false;
        running.acquireUninterruptibly();
        try {
            while (true) {
                interrupted |= Thread.interrupted();
                try {
                    return once(call);
                } catch (WasmInterruptedException again) {
                    interrupted = true;
                }
            }
        } catch (RuntimeException | StackOverflowError trap) {
            VerifierTrappedException trapped = new VerifierTrappedException(Problem.of(
                    "verifier-trapped", "the verifier in this process failed: " + trap.getClass().getSimpleName()));
            trapped.initCause(trap);
            throw trapped;
        } finally {
            running.release();
            if (interrupted) {
                Thread.currentThread().interrupt();
            }
        }
    }

    /** Whatever is thrown, the instance is not used again. */
    private <T> T once(Function<CoreInstance, T> call) {
        CoreInstance instance = idle.poll();
        if (instance == null) {
            instance = new CoreInstance();
        }
        T answer = call.apply(instance);
        if (instance.isReusable()) {
            idle.offer(instance);
        }
        return answer;
    }
}
