package dev.signoff;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.UserPrincipal;

/** The user of this process. */
final class CurrentUser {
    private CurrentUser() {}

    /** Returns the user: the owner of a file that this process makes, since the JDK has no other portable name for it. */
    static UserPrincipal get() throws IOException {
        Path own = Files.createTempFile("signoff", null);
        try {
            return Files.getOwner(own);
        } finally {
            Files.delete(own);
        }
    }
}
