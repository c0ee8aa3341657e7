package dev.signoff.error;

/** The token may not do this. */
public final class ForbiddenException extends SignoffException {
    private static final long serialVersionUID = 1L;

    /**
     * Makes an error. Use {@link Problem#exception()} for the class of a code.
     *
     * @param problem what it says
     */
    public ForbiddenException(Problem problem) {
        super(problem);
    }
}
