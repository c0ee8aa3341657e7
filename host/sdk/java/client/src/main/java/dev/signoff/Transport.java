package dev.signoff;

import java.io.IOException;
import java.io.InputStream;
import java.time.Duration;
import java.util.concurrent.TimeoutException;

/** Sends one request, and follows no redirect. */
interface Transport {
    /** The size of the largest answer, in bytes. */
    int ANSWER_BYTES_MAX = 16 << 20;

    /** An answer that is larger than {@link #ANSWER_BYTES_MAX}. */
    final class TooLarge extends IOException {
        private static final long serialVersionUID = 1L;

        TooLarge() {
            super("the answer is larger than " + ANSWER_BYTES_MAX + " bytes");
        }
    }

    /**
     * Sends a request.
     *
     * @throws IOException if the connection could not be made or broke
     * @throws TimeoutException if the whole answer did not arrive in time
     * @throws InterruptedException if the thread was interrupted; the request is then abandoned
     */
    Answer send(Call call, Duration limit) throws IOException, TimeoutException, InterruptedException;

    /**
     * Opens a stream of events.
     *
     * @param after the id of the event that it begins after, or null
     * @param limit for the start of the answer
     * @return the body of a successful answer
     * @throws Refused if the answer is no success
     */
    InputStream open(Call call, String after, Duration limit) throws IOException, TimeoutException, InterruptedException;

    /** An answer in place of a stream. */
    final class Refused extends IOException {
        private static final long serialVersionUID = 1L;

        private final transient Answer answer;

        Refused(Answer answer) {
            super("status " + answer.status());
            this.answer = answer;
        }

        Answer answer() {
            return answer;
        }
    }
}
