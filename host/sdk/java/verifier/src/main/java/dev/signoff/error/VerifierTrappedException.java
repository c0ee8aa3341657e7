package dev.signoff.error;

/** The verifier in this process failed. This is never an answer about an approval. */
public final class VerifierTrappedException extends SignoffException {
    private static final long serialVersionUID = 1L;

    /**
     * Makes an error. Use {@link Problem#exception()} for the class of a code.
     *
     * @param problem what it says
     */
    public VerifierTrappedException(Problem problem) {
        super(problem);
    }
}
