package dev.signoff;

import dev.signoff.json.Json;
import java.util.List;
import java.util.Map;

/** An approved action that is being run. */
public final class Execution {
    private final String id;
    private final String approvalId;
    private final String contextText;
    private final String planText;
    private final List<String> approvers;
    private volatile boolean reported;

    Execution(String id, String approvalId, String contextText, String planText, List<String> approvers) {
        this.id = id;
        this.approvalId = approvalId;
        this.contextText = contextText;
        this.planText = planText;
        this.approvers = List.copyOf(approvers);
    }

    /**
     * Returns the execution's id.
     *
     * @return {@code exec_} and 26 characters
     */
    public String id() {
        return id;
    }

    /**
     * Returns the approval's id.
     *
     * @return {@code appr_} and 26 characters
     */
    public String approvalId() {
        return approvalId;
    }

    /**
     * Returns the approved context as values, read from {@link #contextText}.
     *
     * @return its members, as {@link Json#parse} reads them
     */
    public Map<String, Object> context() {
        return Json.parseObject(contextText);
    }

    /**
     * Returns the approved context in canonical form.
     *
     * @return a JSON text
     */
    public String contextText() {
        return contextText;
    }

    /**
     * Returns the approved plan as values.
     *
     * @return its members, or null
     */
    public Map<String, Object> plan() {
        return planText == null ? null : Json.parseObject(planText);
    }

    /**
     * Returns the approved plan in canonical form.
     *
     * @return a JSON text, or null
     */
    public String planText() {
        return planText;
    }

    /**
     * Returns who approved.
     *
     * @return their names, sorted; without pinned keys those that the server names
     */
    public List<String> approvers() {
        return approvers;
    }

    /**
     * Returns whether the server knows the outcome. If not, it will show {@code unknown}.
     *
     * @return false until the guard has returned
     */
    public boolean reported() {
        return reported;
    }

    void setReported(boolean value) {
        reported = value;
    }
}
