package dev.signoff;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;

/**
 * An approver's ballot.
 *
 * @param decision {@code approved} or {@code rejected}
 * @param signature the signature over the decision
 * @param approver the approver, or null for the token's subject
 * @param comment at most 4 KiB, or null
 */
public record Decision(String decision, String signature, String approver, String comment) {
    // Requires decision and signature.
    public Decision {
        Objects.requireNonNull(decision, "decision");
        Objects.requireNonNull(signature, "signature");
    }

    Map<String, Object> members() {
        Map<String, Object> members = new LinkedHashMap<>();
        members.put("decision", decision);
        members.put("signature", signature);
        members.put("approver", approver);
        members.put("comment", comment);
        members.values().removeIf(Objects::isNull);
        return members;
    }
}
