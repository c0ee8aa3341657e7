package dev.signoff;

import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.time.Duration;
import org.junit.jupiter.api.Test;

class ClaimedIdsTest {
    /** The counter overflows within the test. */
    private static final long START = Long.MAX_VALUE - 1;

    private final ClaimedIds ids = new ClaimedIds();

    private static long after(Duration passed) {
        return START + passed.toNanos();
    }

    @Test
    void an_id_is_kept_for_its_lifetime_and_the_grace() {
        assertTrue(ids.add("a", Duration.ofHours(1), START));
        assertFalse(ids.add("a", Duration.ofHours(1), START));
        assertTrue(ids.add("b", Duration.ofHours(1), START));
        assertFalse(ids.add("a", Duration.ZERO, after(Duration.ofSeconds(3900))));
        assertTrue(ids.add("a", Duration.ZERO, after(Duration.ofSeconds(3901))));
    }

    @Test
    void a_lifetime_is_between_zero_and_seven_days() {
        assertTrue(ids.add("past", Duration.ofSeconds(Long.MIN_VALUE), START));
        assertTrue(ids.add("future", Duration.ofSeconds(Long.MAX_VALUE), START));
        assertFalse(ids.add("past", Duration.ZERO, after(Duration.ofSeconds(300))));
        assertTrue(ids.add("past", Duration.ZERO, after(Duration.ofSeconds(301))));
        assertFalse(ids.add("future", Duration.ZERO, after(Duration.ofDays(7).plusSeconds(300))));
        assertTrue(ids.add("future", Duration.ZERO, after(Duration.ofDays(7).plusSeconds(301))));
    }
}
