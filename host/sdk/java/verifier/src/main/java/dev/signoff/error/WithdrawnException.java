package dev.signoff.error;

/** The request was withdrawn. */
public final class WithdrawnException extends NotApprovedException {
    private static final long serialVersionUID = 1L;

    /**
     * Makes an error. Use {@link Problem#exception()} for the class of a code.
     *
     * @param problem what it says
     */
    public WithdrawnException(Problem problem) {
        super(problem);
    }
}
