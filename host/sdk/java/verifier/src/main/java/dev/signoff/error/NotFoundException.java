package dev.signoff.error;

/** No such approval, or none that the token may read. */
public final class NotFoundException extends SignoffException {
    private static final long serialVersionUID = 1L;

    /**
     * Makes an error. Use {@link Problem#exception()} for the class of a code.
     *
     * @param problem what it says
     */
    public NotFoundException(Problem problem) {
        super(problem);
    }
}
