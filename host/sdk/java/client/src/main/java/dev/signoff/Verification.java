package dev.signoff;

import java.util.Map;

/**
 * What the server says about an execution. It is the server's word: nothing in it is verified here.
 *
 * @param valid whether an executor may proceed now
 * @param code why not, or null
 * @param json all members of the answer
 */
public record Verification(boolean valid, String code, Map<String, Object> json) {
    static Verification of(Body body) {
        if (!(body.json().get("valid") instanceof Boolean valid)) {
            throw body.wrong("valid");
        }
        return new Verification(valid, body.optional("code"), body.json());
    }
}
