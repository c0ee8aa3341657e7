package dev.signoff;

import dev.signoff.error.Problem;
import dev.signoff.error.SignoffException;
import java.net.URI;
import java.net.URISyntaxException;
import java.nio.file.Path;

/**
 * Where a server is.
 *
 * @param base scheme, host, port and path, without a slash at the end
 * @param isTls whether the connection is encrypted
 * @param isLoopback whether the server is on this machine
 * @param socket the Unix socket, or null
 */
record Address(String base, boolean isTls, boolean isLoopback, Path socket) {
    private static final String UNIX = "unix:";

    /**
     * Parses an address.
     *
     * @throws dev.signoff.error.InvalidException for anything but {@code http://…}, {@code https://…} and
     *     {@code unix:PATH}
     */
    static Address parse(String given) {
        if (given.startsWith(UNIX) && given.length() > UNIX.length()) {
            return new Address("http://localhost", false, true, Path.of(given.substring(UNIX.length())));
        }
        if (given.contains("@")) {
            // Not quoted: the part before it may be a password.
            throw invalid("a server's address must not contain `@`");
        }
        URI uri;
        try {
            uri = new URI(given.replaceAll("/+$", ""));
        } catch (URISyntaxException e) {
            throw wrong(given);
        }
        boolean tls = "https".equalsIgnoreCase(uri.getScheme());
        if (!tls && !"http".equalsIgnoreCase(uri.getScheme()) || uri.getHost() == null || uri.getRawQuery() != null
                || uri.getRawFragment() != null) {
            throw wrong(given);
        }
        return new Address(uri.toString(), tls, isLoopback(uri.getHost()), null);
    }

    private static boolean isLoopback(String host) {
        return host.equalsIgnoreCase("localhost") || host.equals("[::1]")
                || host.matches("127\\.[0-9]{1,3}\\.[0-9]{1,3}\\.[0-9]{1,3}");
    }

    private static SignoffException wrong(String given) {
        return invalid("`" + given + "` is not an http://, https:// or unix: address");
    }

    private static SignoffException invalid(String why) {
        return Problem.of("request-invalid", why).exception();
    }
}
