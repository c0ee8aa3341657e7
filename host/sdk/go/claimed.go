package signoff

import (
	"sync"
	"time"
)

const (
	// lifetimeMax is the longest lifetime of an approval that a server accepts.
	lifetimeMax = 7 * 24 * time.Hour
	// claimedGrace is kept beyond the lifetime, because clocks differ.
	claimedGrace = 300 * time.Second
)

// claimedIDs are the approvals that this process claimed: a server must not show one of them again for
// another request.
var claimedIDs = claims{until: map[string]time.Time{}}

// claims keeps each id for the lifetime that its approval had left, measured by the monotonic clock, so that
// a change of the system's time forgets none.
type claims struct {
	mutex sync.Mutex
	until map[string]time.Time
}

// add remembers an approval; it returns false if it is known already. left is how long the approval can
// still be claimed, at most 7 days count. now has the reading of the monotonic clock, as [time.Now] has.
func (c *claims) add(id string, left time.Duration, now time.Time) bool {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	for old, until := range c.until {
		if until.Before(now) {
			delete(c.until, old)
		}
	}
	if _, known := c.until[id]; known {
		return false
	}
	c.until[id] = now.Add(min(max(left, 0), lifetimeMax) + claimedGrace)
	return true
}
