package dev.signoff.error;

/** The approval expired before it was used. */
public final class ExpiredException extends NotApprovedException {
    private static final long serialVersionUID = 1L;

    /**
     * Makes an error. Use {@link Problem#exception()} for the class of a code.
     *
     * @param problem what it says
     */
    public ExpiredException(Problem problem) {
        super(problem);
    }
}
