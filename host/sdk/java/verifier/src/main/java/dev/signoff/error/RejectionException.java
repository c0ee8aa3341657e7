package dev.signoff.error;

/**
 * The verifier's refusal. The client and the guard report it as the class of its code, for example
 * {@link MismatchException}.
 */
public final class RejectionException extends SignoffException {
    private static final long serialVersionUID = 1L;

    /**
     * Makes a refusal.
     *
     * @param code one of the codes marked with a {@code v} in wit/codes.md
     * @param message one sentence for a person, without secrets
     */
    public RejectionException(String code, String message) {
        super(Problem.of(code, message));
    }

    /**
     * Returns the error of the same code that the server would cause.
     *
     * @return the error, with this one as its cause
     */
    public SignoffException asClientError() {
        SignoffException error = problem().exception();
        error.initCause(this);
        return error;
    }
}
