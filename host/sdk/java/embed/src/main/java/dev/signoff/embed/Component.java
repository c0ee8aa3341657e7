package dev.signoff.embed;

import java.util.Arrays;

/** A WebAssembly component, of which only the first core module is read. */
final class Component {
    /** {@code \0asm}, version 13, layer 1. */
    private static final byte[] HEADER = {0, 'a', 's', 'm', 13, 0, 1, 0};
    /** {@code \0asm}, version 1, layer 0. */
    private static final byte[] CORE_HEADER = {0, 'a', 's', 'm', 1, 0, 0, 0};

    private static final int CORE_MODULE_SECTION = 1;

    private final byte[] bytes;
    private int at = HEADER.length;

    private Component(byte[] bytes) {
        this.bytes = bytes;
    }

    /**
     * Returns the first core module of a component, byte for byte.
     *
     * @throws IllegalArgumentException if these bytes are no component, or have no core module
     */
    static byte[] coreOf(byte[] bytes) {
        if (!startsWith(bytes, HEADER)) {
            throw new IllegalArgumentException("not a WebAssembly component");
        }
        return new Component(bytes).core();
    }

    private byte[] core() {
        while (at < bytes.length) {
            int id = bytes[at++];
            int size = size();
            if (size > bytes.length - at) {
                throw new IllegalArgumentException("a section ends after the component");
            }
            if (id == CORE_MODULE_SECTION) {
                byte[] core = Arrays.copyOfRange(bytes, at, at + size);
                if (!startsWith(core, CORE_HEADER)) {
                    throw new IllegalArgumentException("the core module has another version");
                }
                return core;
            }
            at += size;
        }
        throw new IllegalArgumentException("the component has no core module");
    }

    /** Reads an unsigned LEB128 number of at most 31 bits. */
    private int size() {
        long value = 0;
        for (int shift = 0; shift < 35 && at < bytes.length; shift += 7) {
            byte next = bytes[at++];
            value |= (long) (next & 0x7f) << shift;
            if (next >= 0 && value <= Integer.MAX_VALUE) {
                return (int) value;
            }
        }
        throw new IllegalArgumentException("malformed size of a section");
    }

    private static boolean startsWith(byte[] bytes, byte[] start) {
        return bytes.length >= start.length && Arrays.equals(bytes, 0, start.length, start, 0, start.length);
    }
}
