package dev.signoff.error;

/** The caller's own time limit passed. */
public final class TimedOutException extends SignoffException {
    private static final long serialVersionUID = 1L;

    /**
     * Makes an error. Use {@link Problem#exception()} for the class of a code.
     *
     * @param problem what it says
     */
    public TimedOutException(Problem problem) {
        super(problem);
    }
}
