package dev.signoff.error;

import java.util.List;

/** The base of all errors, and the error of every code that this version does not know. */
public class SignoffException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    /** What this error says. */
    private final Problem problem;

    /**
     * Makes an error. Use {@link Problem#exception()} for the class of a code.
     *
     * @param problem what it says
     */
    public SignoffException(Problem problem) {
        super(problem.line());
        this.problem = problem;
    }

    /**
     * Returns what this error says.
     *
     * @return the problem
     */
    public final Problem problem() {
        return problem;
    }

    /**
     * Returns the code, which is stable.
     *
     * @return the code
     */
    public final String code() {
        return problem.code();
    }

    /**
     * Returns the title of the code.
     *
     * @return the title
     */
    public final String title() {
        return problem.title();
    }

    /**
     * Returns the reason, for people.
     *
     * @return the reason
     */
    public final String detail() {
        return problem.detail();
    }

    /**
     * Returns the HTTP status.
     *
     * @return the status, 0 if no server answered
     */
    public final int status() {
        return problem.status();
    }

    /**
     * Returns the id under which the server logged the request.
     *
     * @return the id, or null
     */
    public final String requestId() {
        return problem.requestId();
    }

    /**
     * Returns the approval that was requested.
     *
     * @return its id, or null
     */
    public final String approvalId() {
        return problem.approvalId();
    }

    /**
     * Returns the comment of the approver who rejected, or the policy's reason.
     *
     * @return the comment, or null
     */
    public final String comment() {
        return problem.comment();
    }

    /**
     * Returns what differs from what was approved.
     *
     * @return JSON pointers; empty if unknown
     */
    public final List<String> members() {
        return problem.members();
    }
}
