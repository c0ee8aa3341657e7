package dev.signoff.error;

/** The server failed, or gave no usable answer. */
public final class UnavailableException extends SignoffException {
    private static final long serialVersionUID = 1L;

    /**
     * Makes an error. Use {@link Problem#exception()} for the class of a code.
     *
     * @param problem what it says
     */
    public UnavailableException(Problem problem) {
        super(problem);
    }
}
