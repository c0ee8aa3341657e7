package dev.signoff.error;

/** The caller's mistake: a malformed request, context, plan or setting. */
public final class InvalidException extends SignoffException {
    private static final long serialVersionUID = 1L;

    /**
     * Makes an error. Use {@link Problem#exception()} for the class of a code.
     *
     * @param problem what it says
     */
    public InvalidException(Problem problem) {
        super(problem);
    }
}
