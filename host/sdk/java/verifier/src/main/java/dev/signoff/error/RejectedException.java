package dev.signoff.error;

/** An approver said no. {@link #comment()} is theirs. */
public final class RejectedException extends NotApprovedException {
    private static final long serialVersionUID = 1L;

    /**
     * Makes an error. Use {@link Problem#exception()} for the class of a code.
     *
     * @param problem what it says
     */
    public RejectedException(Problem problem) {
        super(problem);
    }
}
