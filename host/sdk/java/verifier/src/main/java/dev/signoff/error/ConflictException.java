package dev.signoff.error;

/** The approval's status does not allow this. */
public final class ConflictException extends SignoffException {
    private static final long serialVersionUID = 1L;

    /**
     * Makes an error. Use {@link Problem#exception()} for the class of a code.
     *
     * @param problem what it says
     */
    public ConflictException(Problem problem) {
        super(problem);
    }
}
