package dev.signoff;

import dev.signoff.error.Problem;
import dev.signoff.error.SignoffException;
import dev.signoff.json.Json;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.OpenOption;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFileAttributeView;
import java.nio.file.attribute.PosixFileAttributes;
import java.nio.file.attribute.PosixFilePermission;
import java.util.Map;
import java.util.Set;

/** Settings of the environment, and of the user's home file, which {@code signoff login} writes. */
final class Settings {
    private static final int FILE_BYTES_MAX = 1 << 20;
    private static final Set<PosixFilePermission> OF_OTHERS = Set.of(
            PosixFilePermission.GROUP_READ, PosixFilePermission.GROUP_WRITE,
            PosixFilePermission.OTHERS_READ, PosixFilePermission.OTHERS_WRITE);

    private final Map<String, String> environment;
    private final Path folder;
    private final Map<String, Object> home;

    /**
     * Reads the home file, if there is one.
     *
     * @throws dev.signoff.error.InvalidException if it is not a regular file, belongs to another user, others can read or
     *     write it, or it is malformed
     */
    Settings(Map<String, String> environment) {
        this.environment = environment;
        folder = folder(environment);
        home = read(folder.resolve("client.json"));
    }

    private static Path folder(Map<String, String> environment) {
        String base = environment.get("XDG_CONFIG_HOME");
        Path config = base == null || base.isEmpty()
                ? Path.of(environment.getOrDefault("HOME", System.getProperty("user.home")), ".config")
                : Path.of(base);
        return config.resolve("signoff");
    }

    private static Map<String, Object> read(Path named) {
        try {
            // What is checked is what is read: no link is left in it.
            Path file = named.toRealPath();
            requirePrivate(file);
            return Json.parseObject(text(file, LinkOption.NOFOLLOW_LINKS));
        } catch (NoSuchFileException absent) {
            return Map.of();
        } catch (IOException | IllegalArgumentException e) {
            throw invalid("`" + named + "` cannot be read: " + e.getMessage());
        }
    }

    /** Checks a file before it is opened: opening a pipe waits for its writer. */
    private static void requirePrivate(Path file) throws IOException {
        if (!Files.isRegularFile(file, LinkOption.NOFOLLOW_LINKS)) {
            throw invalid("`" + file + "` is not a regular file");
        }
        PosixFileAttributeView posix =
                Files.getFileAttributeView(file, PosixFileAttributeView.class, LinkOption.NOFOLLOW_LINKS);
        if (posix == null) {
            // Systems without these permissions keep a user's home private by other means.
            return;
        }
        PosixFileAttributes attributes = posix.readAttributes();
        if (!attributes.owner().equals(CurrentUser.get())) {
            throw invalid("`" + file + "` belongs to another user");
        }
        if (attributes.permissions().stream().anyMatch(OF_OTHERS::contains)) {
            throw invalid("`" + file + "` can be read or written by others: run chmod 600 on it");
        }
    }

    /** Returns a setting of the environment, else of the home file, else null. */
    String text(String variable, String member) {
        if (isSet(variable)) {
            return environment.get(variable);
        }
        Object value = home.get(member);
        if (value == null || value instanceof String) {
            return (String) value;
        }
        throw invalid("`" + member + "` in `" + folder.resolve("client.json") + "` is not a text");
    }

    /** Returns a setting as {@link #text}, that of the home file only if the server in use is the home file's. */
    String textOf(String server, String variable, String member) {
        return isSet(variable) || isServerOfHome(server) ? text(variable, member) : null;
    }

    /** Returns a path as {@link #path}, that of the home file only if the server in use is the home file's. */
    Path pathOf(String server, String variable, String member) {
        return isSet(variable) || isServerOfHome(server) ? path(variable, member) : null;
    }

    private boolean isServerOfHome(String server) {
        return server.equals(home.get("server"));
    }

    private boolean isSet(String variable) {
        String set = environment.get(variable);
        return set != null && !set.isEmpty();
    }

    /** Returns a path as {@link #text}; a relative one of the home file starts at its folder. */
    Path path(String variable, String member) {
        String value = text(variable, member);
        if (value == null) {
            return null;
        }
        return isSet(variable) ? Path.of(value) : folder.resolve(value);
    }

    /** Reads a small file. */
    static String text(Path file, OpenOption... options) throws IOException {
        try (InputStream content = Files.newInputStream(file, options)) {
            byte[] bytes = content.readNBytes(FILE_BYTES_MAX + 1);
            if (bytes.length > FILE_BYTES_MAX) {
                throw new IOException("it is larger than " + FILE_BYTES_MAX + " bytes");
            }
            return StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(bytes)).toString();
        }
    }

    static SignoffException invalid(String why) {
        return Problem.of("request-invalid", why).exception();
    }
}
