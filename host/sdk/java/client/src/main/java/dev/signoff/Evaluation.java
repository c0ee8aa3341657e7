package dev.signoff;

import java.util.Map;

/**
 * The verdict of the server's policy on an action. It is the server's word.
 *
 * @param decision {@code allow}, {@code require-approval} or {@code deny}, as the server spells them
 * @param requiresApproval whether the action requires an approval
 * @param reason the reason, for people
 * @param json all members of the answer
 */
public record Evaluation(String decision, boolean requiresApproval, String reason, Map<String, Object> json) {
    static Evaluation of(Body body) {
        if (!(body.json().get("requires_approval") instanceof Boolean required)) {
            throw body.wrong("requires_approval");
        }
        return new Evaluation(body.string("decision"), required, body.string("reason"), body.json());
    }
}
