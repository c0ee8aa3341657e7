package signoff

import (
	"maps"
	"time"

	"signoff.dev/signoff/verifier"
)

// lifetimeDefault is the server's, of a request that names none.
const lifetimeDefault = time.Hour

// atLeast returns the request with nothing in it weaker than the floor: the higher threshold, the higher
// minimum of each group, and the shorter lifetime. The caller's map is not changed.
func (r Request) atLeast(floor *verifier.Floor) Request {
	if floor == nil {
		return r
	}
	r.Threshold = max(r.Threshold, floor.Threshold)
	if len(floor.Groups) > 0 {
		groups := maps.Clone(r.Groups)
		if groups == nil {
			groups = map[string]int{}
		}
		for name, least := range floor.Groups {
			groups[name] = max(groups[name], least)
		}
		r.Groups = groups
	}
	longest := time.Duration(min(floor.TTLSeconds, int64(lifetimeMax/time.Second))) * time.Second
	switch {
	case longest == 0:
	case r.ExpiresIn != 0:
		r.ExpiresIn = min(r.ExpiresIn, longest)
	case longest < lifetimeDefault:
		r.ExpiresIn = longest
	}
	return r
}

// checkFloor refuses numbers that no requirement has.
func checkFloor(floor *verifier.Floor) error {
	if floor == nil {
		return nil
	}
	if floor.Threshold < 0 || floor.TTLSeconds < 0 {
		return newError("request-invalid", "the floor's Threshold and TTLSeconds must not be negative")
	}
	for _, least := range floor.Groups {
		if least < 1 {
			return newError("request-invalid", "the floor's Groups must be whole numbers from 1")
		}
	}
	return nil
}
