package dev.signoff;

import dev.signoff.error.RejectionException;
import dev.signoff.verifier.Key;
import dev.signoff.verifier.Statement;
import dev.signoff.verifier.Traps;
import dev.signoff.verifier.Verifier;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicInteger;

/** Many threads with one verifier: verifications, digests, rejections, and one trap in between. */
final class Load {
    private static final Statement STATEMENT = Statement.v1(
            "appr_abc123", "approved", "user@company.com", Instant.parse("2025-10-17T11:30:00Z"));
    private static final Key KEY = new Key("k1", "hmac-sha256",
            "YSBzZWNyZXQgdGhhdCBpcyBmb3IgZXhhbXBsZXMgb25seQ", "active", "approve", null, List.of());

    private final Verifier verifier;
    private final String signature;
    private final AtomicInteger calls = new AtomicInteger();
    private final AtomicInteger wrong = new AtomicInteger();

    private Load(Verifier verifier) {
        this.verifier = verifier;
        signature = verifier.sign(STATEMENT, "v1", KEY);
    }

    /** Returns the numbers of calls and of wrong answers. */
    static int[] run(Verifier verifier, int threads, int calls) throws InterruptedException {
        Load load = new Load(verifier);
        CountDownLatch ended = new CountDownLatch(threads);
        for (int i = 0; i < threads; i++) {
            int thread = i;
            new Thread(() -> {
                for (int call = thread; call < calls; call += threads) {
                    load.call(call, call == calls / 2);
                }
                ended.countDown();
            }).start();
        }
        ended.await();
        return new int[] {load.calls.get(), load.wrong.get()};
    }

    private void call(int number, boolean trap) {
        boolean right;
        try {
            right = trap ? Traps.isReported(verifier) : isRight(number);
        } catch (RuntimeException unexpected) {
            right = false;
        }
        calls.incrementAndGet();
        if (!right) {
            wrong.incrementAndGet();
        }
    }

    private boolean isRight(int number) {
        switch (number % 3) {
            case 0:
                return verifier.verify(STATEMENT, signature, List.of(KEY), List.of("v1")).equals("k1");
            case 1:
                return verifier.canonicalize(Map.of("n", number)).equals("{\"n\": " + number + "}");
            default:
                try {
                    verifier.verify(STATEMENT, "0".repeat(64), List.of(KEY), List.of("v1"));
                    return false;
                } catch (RejectionException refused) {
                    return refused.code().equals("signature-invalid");
                }
        }
    }
}
