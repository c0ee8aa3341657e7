package dev.signoff.embed;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Comparator;
import java.util.HexFormat;
import java.util.Set;
import run.endive.build.time.compiler.Config;
import run.endive.build.time.compiler.Generator;
import run.endive.compiler.InterpreterFallback;

/**
 * Compiles the core module inside the verifier component to JVM classes.
 *
 * <p>Writes {@code CoreMachine*.class}, {@code Core.meta} (the module without code: memory, data and
 * exports) and {@code core.sha256} (digests of the component and of its core module) for the package
 * {@code dev.signoff.verifier}. Does nothing if they are already those of the same component and the
 * same compiler.
 */
public final class CompileCore {
    private static final String PACKAGE = "dev.signoff.verifier";

    private CompileCore() {}

    /**
     * Compiles.
     *
     * @param arguments the component's file, the output folder, the compiler's version
     * @throws IOException if a file cannot be read or written
     */
    public static void main(String[] arguments) throws IOException {
        Path source = Path.of(arguments[0]);
        Path output = Path.of(arguments[1]);
        if (!Files.isRegularFile(source)) {
            throw new IOException("no component at " + source + ": run host/sdk/embed first");
        }
        byte[] component = Files.readAllBytes(source);
        byte[] core = Component.coreOf(component);
        String digests = "component " + sha256(component) + "\ncore " + sha256(core)
                + "\ncompiler " + arguments[2] + "\n";
        Path stamp = output.resolve(PACKAGE.replace('.', '/')).resolve("core.sha256");
        if (Files.isRegularFile(stamp) && Files.readString(stamp).equals(digests)) {
            return;
        }
        clear(output);
        Files.createDirectories(stamp.getParent());
        compile(core, output);
        Files.writeString(stamp, digests);
    }

    private static void compile(byte[] core, Path output) throws IOException {
        Path module = Files.createTempFile("core", ".wasm");
        try {
            Files.write(module, core);
            Generator generator = new Generator(Config.builder()
                    .withWasmFile(module)
                    .withName(PACKAGE + ".Core")
                    .withTargetClassFolder(output)
                    .withTargetWasmFolder(output)
                    .withTargetSourceFolder(output)
                    // A function too large for a JVM method fails the build: interpreted, it would be slow.
                    .withInterpreterFallback(InterpreterFallback.FAIL)
                    .withInterpretedFunctions(Set.of())
                    .build());
            generator.generateMetaWasm(generator.generateResources());
        } finally {
            Files.delete(module);
        }
    }

    private static void clear(Path folder) throws IOException {
        if (!Files.isDirectory(folder)) {
            return;
        }
        try (var files = Files.walk(folder)) {
            for (Path file : files.sorted(Comparator.reverseOrder()).toList()) {
                Files.delete(file);
            }
        }
    }

    private static String sha256(byte[] bytes) {
        try {
            return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(bytes));
        } catch (NoSuchAlgorithmException absent) {
            throw new IllegalStateException("every Java platform has SHA-256", absent);
        }
    }
}
