package dev.signoff.error;

/** The action is not approved: the base of the four errors that say why. */
public class NotApprovedException extends SignoffException {
    private static final long serialVersionUID = 1L;

    /**
     * Makes an error. Use {@link Problem#exception()} for the class of a code.
     *
     * @param problem what it says
     */
    public NotApprovedException(Problem problem) {
        super(problem);
    }
}
