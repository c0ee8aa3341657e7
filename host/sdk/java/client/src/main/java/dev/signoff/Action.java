package dev.signoff;

import dev.signoff.json.Json;
import dev.signoff.json.RawJson;
import java.util.Map;
import java.util.Objects;

/**
 * What an agent wants to do. The values are written as text once, here; that text is what is requested, approved
 * and run.
 *
 * @param agent the agent, 1 to 128 printable ASCII characters
 * @param name the action, 1 to 128 printable ASCII characters
 * @param context the context, a JSON object as text
 * @param plan the plan, a JSON object as text, or null
 */
public record Action(String agent, String name, String context, String plan) {
    // Requires agent, action and context.
    public Action {
        Objects.requireNonNull(agent, "agent");
        Objects.requireNonNull(name, "name");
        Objects.requireNonNull(context, "context");
    }

    /**
     * Makes an action from values.
     *
     * @param agent the agent
     * @param name the action
     * @param context the members of the context, which {@link Json#write} must accept
     * @return the action, without a plan
     */
    public static Action of(String agent, String name, Map<String, ?> context) {
        return new Action(agent, name, Json.write(Objects.requireNonNull(context, "context")), null);
    }

    /**
     * Makes an action from a text.
     *
     * @param agent the agent
     * @param name the action
     * @param context the context, a JSON object
     * @return the action, without a plan
     */
    public static Action of(String agent, String name, RawJson context) {
        return new Action(agent, name, context.text(), null);
    }

    /**
     * Returns this action with a plan.
     *
     * @param plan the members of the plan, which {@link Json#write} must accept
     * @return the copy
     */
    public Action withPlan(Map<String, ?> plan) {
        return new Action(agent, name, context, Json.write(Objects.requireNonNull(plan, "plan")));
    }

    /**
     * Returns this action with a plan.
     *
     * @param plan the plan, a JSON object
     * @return the copy
     */
    public Action withPlan(RawJson plan) {
        return new Action(agent, name, context, plan.text());
    }
}
