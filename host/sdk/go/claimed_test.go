package signoff

import (
	"math"
	"testing"
	"time"
)

func TestAClaimedIDIsKeptForItsLifetimeAndTheGrace(t *testing.T) {
	start := time.Now()
	for name, of := range map[string]struct{ left, kept time.Duration }{
		"an hour":    {time.Hour, time.Hour + 300*time.Second},
		"past":       {math.MinInt64, 300 * time.Second},
		"far future": {math.MaxInt64, 7*24*time.Hour + 300*time.Second},
	} {
		claimed := claims{until: map[string]time.Time{}}
		if !claimed.add("a", of.left, start) || claimed.add("a", of.left, start) || !claimed.add("b", of.left, start) {
			t.Error(name, "is not claimed exactly once")
		}
		if claimed.add("a", 0, start.Add(of.kept)) {
			t.Error(name, "is forgotten too early")
		}
		if !claimed.add("a", 0, start.Add(of.kept+1)) || len(claimed.until) != 1 {
			t.Error(name, "is never forgotten")
		}
	}
}
