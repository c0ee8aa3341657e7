package dev.signoff.error;

/** The approval is for something else. {@link #members()} lists what differs, if known. */
public final class MismatchException extends SignoffException {
    private static final long serialVersionUID = 1L;

    /**
     * Makes an error. Use {@link Problem#exception()} for the class of a code.
     *
     * @param problem what it says
     */
    public MismatchException(Problem problem) {
        super(problem);
    }
}
