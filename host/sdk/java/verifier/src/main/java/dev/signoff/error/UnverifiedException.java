package dev.signoff.error;

/** The signatures do not prove what the server showed, or it cannot be what was requested. */
public final class UnverifiedException extends SignoffException {
    private static final long serialVersionUID = 1L;

    /**
     * Makes an error. Use {@link Problem#exception()} for the class of a code.
     *
     * @param problem what it says
     */
    public UnverifiedException(Problem problem) {
        super(problem);
    }
}
