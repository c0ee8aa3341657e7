package dev.signoff;

import java.io.IOException;

/** A Unix socket whose server runs as another user. */
final class WrongUser extends IOException {
    private static final long serialVersionUID = 1L;

    WrongUser(String user) {
        super("the server of the socket runs as another user, " + user);
    }
}
