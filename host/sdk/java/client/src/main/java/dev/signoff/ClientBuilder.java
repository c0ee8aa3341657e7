package dev.signoff;

import dev.signoff.verifier.Floor;
import dev.signoff.verifier.Key;
import dev.signoff.verifier.Verifier;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Clock;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/**
 * The settings of a {@link Client}. What is not set comes from the environment, else from {@code client.json} in
 * {@code $XDG_CONFIG_HOME/signoff}, which {@code signoff login} writes. Token and authorities of that file
 * are used for the server that it names, and for no other.
 */
public final class ClientBuilder {
    private static final Duration TIMEOUT = Duration.ofSeconds(30);

    private Map<String, String> environment = System.getenv();
    private String url;
    private String token;
    private Path ca;
    private Path keysFile;
    private List<Key> keys;
    private boolean isServerTrusted;
    private String audience;
    private Floor floor;
    private List<String> accept;
    private List<String> policies;
    private boolean allowHmac;
    private boolean insecureHttp;
    private Duration timeout = TIMEOUT;
    private Clock clock = Clock.systemUTC();
    private Verifier verifier;

    ClientBuilder() {}

    /**
     * Sets the server, otherwise {@code SIGNOFF_SERVER}.
     *
     * @param address {@code http://…}, {@code https://…} or {@code unix:PATH}
     * @return this
     */
    public ClientBuilder url(String address) {
        url = address;
        return this;
    }

    /**
     * Sets the token, otherwise {@code SIGNOFF_TOKEN}.
     *
     * @param secret the token
     * @return this
     */
    public ClientBuilder token(String secret) {
        token = secret;
        return this;
    }

    /**
     * Sets authorities in addition to the platform's, otherwise {@code SIGNOFF_CA}.
     *
     * @param pem a PEM file
     * @return this
     */
    public ClientBuilder ca(Path pem) {
        ca = pem;
        return this;
    }

    /**
     * Pins the approvers' keys, otherwise {@code SIGNOFF_KEYS}: approvals are then verified by this process.
     *
     * @param file as {@code signoff key list --json} or {@code signoff key generate} prints them
     * @return this
     */
    public ClientBuilder keys(Path file) {
        keysFile = file;
        return this;
    }

    /**
     * Pins the approvers' keys.
     *
     * @param pinned the keys; without any, nothing verifies
     * @return this
     */
    public ClientBuilder keys(List<Key> pinned) {
        keys = List.copyOf(pinned);
        return this;
    }

    /**
     * Trusts the server, whatever keys the environment or the home file name.
     *
     * @return this
     */
    public ClientBuilder trustServer() {
        isServerTrusted = true;
        return this;
    }

    /**
     * Sets the deployment that this executor works for, otherwise {@code SIGNOFF_AUDIENCE}. Required with keys.
     *
     * @param name the audience
     * @return this
     */
    public ClientBuilder audience(String name) {
        audience = name;
        return this;
    }

    /**
     * Sets the least that this executor requires of an approval. A guard requests it too, where its
     * {@link GuardRequest} requires less. Only pinned keys enforce it: without them {@link Client#guard} refuses it, as
     * it refuses {@link #accept}, {@link #policies} and {@link #allowHmac}.
     *
     * @param least the floor
     * @return this
     */
    public ClientBuilder floor(Floor least) {
        floor = least;
        return this;
    }

    /**
     * Sets the profiles of signatures that count; {@code v2} alone by default.
     *
     * @param profiles {@code v1} covers so little that the server is trusted for the rest
     * @return this
     */
    public ClientBuilder accept(List<String> profiles) {
        accept = List.copyOf(profiles);
        return this;
    }

    /**
     * Sets the policies that may set requirements; any by default.
     *
     * @param digests their digests
     * @return this
     */
    public ClientBuilder policies(List<String> digests) {
        policies = List.copyOf(digests);
        return this;
    }

    /**
     * Lets pinned HMAC keys count. Whoever can verify with such a key can also sign.
     *
     * @return this
     */
    public ClientBuilder allowHmac() {
        allowHmac = true;
        return this;
    }

    /**
     * Sends the token over plain HTTP to another machine, for networks that are encrypted by other means.
     *
     * @return this
     */
    public ClientBuilder insecureHttp() {
        insecureHttp = true;
        return this;
    }

    /**
     * Sets how long a call may take with its retries; 30 s by default.
     *
     * @param limit the limit
     * @return this
     */
    public ClientBuilder timeout(Duration limit) {
        timeout = Objects.requireNonNull(limit, "limit");
        return this;
    }

    /**
     * Sets the clock that decides what has expired; the system's by default.
     *
     * @param source the clock
     * @return this
     */
    public ClientBuilder clock(Clock source) {
        clock = Objects.requireNonNull(source, "source");
        return this;
    }

    /**
     * Shares a verifier with other clients.
     *
     * @param shared the verifier
     * @return this
     */
    public ClientBuilder verifier(Verifier shared) {
        verifier = shared;
        return this;
    }

    /** Replaces the environment, for tests. */
    ClientBuilder environment(Map<String, String> variables) {
        environment = variables;
        return this;
    }

    /**
     * Makes the client. Connects to nothing.
     *
     * @return the client
     * @throws dev.signoff.error.InvalidException in this order: a home file that others can read, or that is
     *     malformed; no address, or a malformed one; a malformed token; a token that would be sent in plain text;
     *     authorities or keys that cannot be read
     */
    public Client build() {
        Settings settings = new Settings(environment);
        String server = url == null ? settings.text("SIGNOFF_SERVER", "server") : url;
        if (server == null) {
            throw Settings.invalid("no server: set SIGNOFF_SERVER, or run signoff login");
        }
        Address address = Address.parse(server);
        String secret = token == null ? settings.textOf(server, "SIGNOFF_TOKEN", "token") : token;
        Headers headers = new Headers(secret);
        if (secret != null && !address.isTls() && !address.isLoopback() && !insecureHttp) {
            throw Settings.invalid("refusing to send a token to `" + address.base() + "` in the clear: use https://");
        }
        Path authorities = ca == null ? settings.pathOf(server, "SIGNOFF_CA", "ca") : ca;
        Transport transport = address.socket() != null
                ? new UnixTransport(address.socket(), headers)
                : new HttpTransport(address, headers,
                        address.isTls() && authorities != null ? Authorities.with(authorities) : null);
        String deployment = audience == null ? settings.text("SIGNOFF_AUDIENCE", "audience") : audience;
        Trust trust = new Trust(pinned(settings), deployment, accept, floor, policies, allowHmac);
        Verifier own = verifier == null ? new Verifier() : verifier;
        return new Client(new Calls(transport), own, clock, timeout, trust, null);
    }

    private List<Key> pinned(Settings settings) {
        if (isServerTrusted) {
            return null;
        }
        if (keys != null) {
            return keys;
        }
        Path file = keysFile == null ? settings.path("SIGNOFF_KEYS", "keys") : keysFile;
        if (file == null) {
            return null;
        }
        try {
            return Key.parse(Settings.text(file));
        } catch (IOException | IllegalArgumentException e) {
            throw Settings.invalid("keys in `" + file + "` cannot be read: " + e.getMessage());
        }
    }
}
