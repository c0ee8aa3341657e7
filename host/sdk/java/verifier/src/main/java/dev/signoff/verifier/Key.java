package dev.signoff.verifier;

import dev.signoff.json.Json;
import dev.signoff.json.JsonException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/**
 * A keyring entry, as in wit/types.wit.
 *
 * @param id {@code [a-z0-9_-]{1,64}}
 * @param algorithm {@code ed25519} or {@code hmac-sha256}
 * @param material base64url without padding: a public key, or a secret
 * @param status {@code active}, {@code verify-only} or {@code revoked}
 * @param use {@code approve}, {@code log} or {@code module}
 * @param approver the key's owner, or null
 * @param groups the groups of its owner
 */
public record Key(
        String id, String algorithm, String material, String status, String use, String approver,
        List<String> groups) {

    // Copies the groups.
    public Key {
        Objects.requireNonNull(id, "id");
        Objects.requireNonNull(algorithm, "algorithm");
        Objects.requireNonNull(material, "material");
        Objects.requireNonNull(status, "status");
        Objects.requireNonNull(use, "use");
        groups = List.copyOf(groups);
    }

    /**
     * Reads keys as {@code signoff key list --json}, {@code signoff key generate} or a server's {@code GET /keys}
     * show them: one entry, a list of entries, or an object with the list as {@code items} or {@code keys}.
     * Entries without a public key are left out: their material is a secret that is not shown.
     *
     * @param text JSON
     * @return the keys
     * @throws IllegalArgumentException for any other text, and for keys with a private half; the message contains no key material
     */
    public static List<Key> parse(String text) {
        Object value;
        try {
            value = Json.parse(asList(text));
        } catch (JsonException malformed) {
            throw new IllegalArgumentException("keys are not JSON: " + malformed.getMessage());
        }
        if (value instanceof Map<?, ?> object) {
            Object items = object.containsKey("items") ? object.get("items") : object.get("keys");
            value = items == null ? List.of(object) : items;
        }
        if (!(value instanceof List<?> items)) {
            throw new IllegalArgumentException("keys are not a list of entries");
        }
        List<Key> keys = new ArrayList<>();
        for (Object item : items) {
            if (!(item instanceof Map<?, ?> entry)) {
                throw new IllegalArgumentException("a key is not an object");
            }
            // In a list of `signoff key list` it is true or false.
            if (entry.get("private") instanceof String) {
                throw new IllegalArgumentException("the keys contain a private key: pin public keys only, as "
                        + "`signoff key list --json` prints them");
            }
            if (materialOf(entry) != null) {
                keys.add(of(entry));
            }
        }
        return List.copyOf(keys);
    }

    /** Makes one list of entries that stand in lines of their own, as files put together have them. */
    private static String asList(String text) {
        List<String> lines = text.lines().map(String::strip).filter(line -> !line.isEmpty()).toList();
        boolean areEntries = lines.size() > 1
                && lines.stream().allMatch(line -> line.startsWith("{") && line.endsWith("}"));
        return areEntries ? "[" + String.join(",", lines) + "]" : text;
    }

    private static Key of(Map<?, ?> entry) {
        List<String> groups = new ArrayList<>();
        if (!(entry.get("groups") instanceof List<?> named)) {
            throw new IllegalArgumentException("a key has no list of groups");
        }
        for (Object group : named) {
            groups.add(text(group, "group"));
        }
        Object approver = entry.get("approver");
        return new Key(text(entry.get("id"), "id"), text(entry.get("algorithm"), "algorithm"),
                text(materialOf(entry), "material"), text(entry.get("status"), "status"),
                text(entry.get("use"), "use"), approver == null ? null : text(approver, "approver"), groups);
    }

    private static Object materialOf(Map<?, ?> entry) {
        Object material = entry.get("material");
        return material == null ? entry.get("public_key") : material;
    }

    private static String text(Object value, String name) {
        if (value instanceof String text) {
            return text;
        }
        throw new IllegalArgumentException("a key's " + name + " is missing or not a text");
    }

    /**
     * Returns this key with another status.
     *
     * @param other the status
     * @return the copy
     */
    public Key withStatus(String other) {
        return new Key(id, algorithm, material, other, use, approver, groups);
    }

    /**
     * Returns this key with other groups.
     *
     * @param others the groups
     * @return the copy
     */
    public Key withGroups(List<String> others) {
        return new Key(id, algorithm, material, status, use, approver, others);
    }

    /** Returns the entry for the verifier. */
    Map<String, Object> json() {
        Map<String, Object> json = new HashMap<>();
        json.put("id", id);
        json.put("algorithm", algorithm);
        json.put("material", material);
        json.put("status", status);
        json.put("use", use);
        json.put("approver", approver);
        json.put("groups", groups);
        return json;
    }

    /** Returns a description without the material, which may be secret. */
    @Override
    public String toString() {
        return "Key[" + id + ", " + algorithm + ", " + status + ", " + use + ", " + approver + ", " + groups + "]";
    }
}
