package dev.signoff.verifier;

import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import run.endive.runtime.ExportFunction;
import run.endive.runtime.Instance;
import run.endive.runtime.Memory;
import run.endive.wasm.WasmEngineException;

/** One instance of the core module, for one call at a time. */
final class CoreInstance {
    private static final String CALL = "signoff:approval/wire@0.1.0#call";
    /** 4 MiB: memory never shrinks, so an instance that once had a large request would keep it. */
    private static final int REUSABLE_PAGES_MAX = 64;

    private final Memory memory;
    private final ExportFunction allocate;
    private final ExportFunction call;
    private final ExportFunction free;

    CoreInstance() {
        Instance instance = Core.instantiate();
        memory = instance.memory();
        allocate = instance.export("cabi_realloc");
        call = instance.export(CALL);
        free = instance.export("cabi_post_" + CALL);
    }

    /**
     * Calls {@code wire.call}.
     *
     * @param request UTF-8
     * @throws WasmEngineException after a trap; the instance must not be used again
     */
    String call(byte[] request) {
        int sent = (int) allocate.apply(0, 0, 1, request.length)[0];
        memory.write(sent, request);
        int result = (int) call.apply(sent, request.length)[0];
        int start = memory.readInt(result);
        int length = memory.readInt(result + 4);
        byte[] answer = memory.readBytes(start, length);
        free.apply(result);
        try {
            return StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(answer)).toString();
        } catch (CharacterCodingException e) {
            throw new WasmEngineException("the answer is not UTF-8", e);
        }
    }

    /** Returns whether the instance is small enough to keep. */
    boolean isReusable() {
        return memory.pages() <= REUSABLE_PAGES_MAX;
    }

    /** Traps: reads a request that lies outside the memory. For tests. */
    void trap() {
        call.apply(Integer.MAX_VALUE, Integer.MAX_VALUE);
    }
}
