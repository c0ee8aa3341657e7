package dev.signoff;

import dev.signoff.verifier.Key;
import dev.signoff.verifier.Statement;
import dev.signoff.verifier.Verifier;
import java.security.GeneralSecurityException;
import java.security.KeyPair;
import java.security.KeyPairGenerator;
import java.security.Signature;
import java.util.Arrays;
import java.util.Base64;
import java.util.List;

/** A person with an Ed25519 key of the Java platform. */
final class Approver {
    private static final Base64.Encoder BASE64 = Base64.getUrlEncoder().withoutPadding();

    private final String name;
    private final KeyPair pair;

    Approver(String name) {
        this.name = name;
        try {
            pair = KeyPairGenerator.getInstance("Ed25519").generateKeyPair();
        } catch (GeneralSecurityException e) {
            throw new IllegalStateException(e);
        }
    }

    String email() {
        return name + "@company.com";
    }

    String keyId() {
        return name;
    }

    /** The public half: the last 32 bytes of its encoding. */
    Key key() {
        byte[] encoded = pair.getPublic().getEncoded();
        String material = BASE64.encodeToString(Arrays.copyOfRange(encoded, encoded.length - 32, encoded.length));
        return new Key(name, "ed25519", material, "active", "approve", email(), List.of("sre"));
    }

    String sign(Verifier verifier, Statement statement) {
        try {
            Signature signature = Signature.getInstance("Ed25519");
            signature.initSign(pair.getPrivate());
            signature.update(verifier.payload(statement, "v2"));
            return "v2." + name + "." + BASE64.encodeToString(signature.sign());
        } catch (GeneralSecurityException e) {
            throw new IllegalStateException(e);
        }
    }
}
