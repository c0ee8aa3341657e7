package dev.signoff;

/**
 * The function that {@link Client#guard} runs once the action is approved.
 *
 * @param <T> what it returns
 * @param <E> what it throws; for a function without checked exceptions the compiler infers it
 */
@FunctionalInterface
public interface Guarded<T, E extends Exception> {
    /**
     * Runs the action. Called at most once.
     *
     * @param execution what was approved: run exactly its context and plan
     * @return the result of the guard
     * @throws E if the action failed; the guard reports the outcome {@code failed} and throws it on
     */
    T run(Execution execution) throws E;
}
