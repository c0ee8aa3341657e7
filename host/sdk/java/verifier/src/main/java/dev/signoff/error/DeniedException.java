package dev.signoff.error;

/** The policy said no. {@link #comment()} is its reason. */
public final class DeniedException extends NotApprovedException {
    private static final long serialVersionUID = 1L;

    /**
     * Makes an error. Use {@link Problem#exception()} for the class of a code.
     *
     * @param problem what it says
     */
    public DeniedException(Problem problem) {
        super(problem);
    }
}
