package dev.signoff.verifier;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import run.endive.runtime.ByteArrayMemory;
import run.endive.runtime.Instance;
import run.endive.wasm.Parser;
import run.endive.wasm.WasmModule;
import run.endive.wasm.types.MemoryLimits;

/** The core module, compiled at build time, and the component that it was cut from. */
final class Core {
    /** 128 MiB. A request of 16 MiB needs 24 MiB; more memory is a failure, not work. */
    private static final int PAGES_MAX = 2_048;

    private static final WasmModule MODULE = module();

    private Core() {}

    /** Returns a fresh instance. */
    static Instance instantiate() {
        int initial = MODULE.memorySection().orElseThrow().getMemory(0).limits().initialPages();
        return Instance.builder(MODULE)
                .withMachineFactory(CoreMachine::new)
                .withMemoryLimits(new MemoryLimits(initial, PAGES_MAX))
                // Twice as fast as the default, which is made for other virtual machines.
                .withMemoryFactory(ByteArrayMemory::new)
                .build();
    }

    /** Returns the SHA-256 of the component in this package. */
    static String digest() {
        return Digest.VALUE;
    }

    /** Computed at the first use. */
    private static final class Digest {
        static final String VALUE = sha256(resource("verifier.wasm"));
    }

    private static WasmModule module() {
        return Parser.parse(resource("Core.meta"));
    }

    private static byte[] resource(String name) {
        try (InputStream stream = Core.class.getResourceAsStream(name)) {
            if (stream == null) {
                throw new IllegalStateException("this package has no " + name);
            }
            return stream.readAllBytes();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
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
