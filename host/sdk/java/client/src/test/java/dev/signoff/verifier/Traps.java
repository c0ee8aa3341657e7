package dev.signoff.verifier;

import dev.signoff.error.VerifierTrappedException;

/** Forces traps, which no request does. */
public final class Traps {
    private Traps() {}

    /** Traps an instance of a verifier; returns whether that was reported as such. */
    public static boolean isReported(Verifier verifier) {
        try {
            verifier.pool().with(instance -> {
                instance.trap();
                return null;
            });
            return false;
        } catch (VerifierTrappedException expected) {
            return expected.code().equals("verifier-trapped");
        }
    }
}
