package signoff

import (
	"reflect"
	"testing"
	"time"

	"signoff.dev/signoff/verifier"
)

func TestNothingWeakerThanTheFloorIsRequested(t *testing.T) {
	groups := func(of map[string]int) Request { return Request{Groups: of} }
	for _, one := range []struct {
		own, expected Request
		floor         *verifier.Floor
	}{
		{Request{}, Request{}, nil},
		{Request{}, Request{}, &verifier.Floor{}},
		{Request{Threshold: 2}, Request{Threshold: 2}, &verifier.Floor{}},
		{Request{}, Request{Threshold: 2}, &verifier.Floor{Threshold: 2}},
		{Request{Threshold: 1}, Request{Threshold: 2}, &verifier.Floor{Threshold: 2}},
		{Request{Threshold: 3}, Request{Threshold: 3}, &verifier.Floor{Threshold: 2}},
		{Request{}, groups(map[string]int{"sre": 2}), &verifier.Floor{Groups: map[string]int{"sre": 2}}},
		{
			groups(map[string]int{"sre": 1, "dba": 1}), groups(map[string]int{"sre": 2, "dba": 1}),
			&verifier.Floor{Groups: map[string]int{"sre": 2}},
		},
		{groups(map[string]int{"sre": 3}), groups(map[string]int{"sre": 3}), &verifier.Floor{Groups: map[string]int{"sre": 2}}},
		{Request{}, Request{ExpiresIn: time.Minute}, &verifier.Floor{TTLSeconds: 60}},
		{Request{ExpiresIn: time.Hour}, Request{ExpiresIn: time.Minute}, &verifier.Floor{TTLSeconds: 60}},
		{Request{ExpiresIn: time.Second}, Request{ExpiresIn: time.Second}, &verifier.Floor{TTLSeconds: 60}},
		// Longer than the server's default: the request must not outlive it for that.
		{Request{}, Request{}, &verifier.Floor{TTLSeconds: 86400}},
		{Request{ExpiresIn: time.Hour}, Request{ExpiresIn: time.Hour}, &verifier.Floor{TTLSeconds: 1 << 62}},
	} {
		if found := one.own.atLeast(one.floor); !reflect.DeepEqual(found, one.expected) {
			t.Errorf("%+v with %+v: %+v, expected %+v", one.own, one.floor, found, one.expected)
		}
	}
	own := map[string]int{"sre": 1}
	groups(own).atLeast(&verifier.Floor{Groups: map[string]int{"sre": 2}})
	if own["sre"] != 1 {
		t.Error("the caller's own groups changed")
	}
}

func TestMalformedFloorsAreRefused(t *testing.T) {
	for _, floor := range []*verifier.Floor{
		{Threshold: -1}, {TTLSeconds: -1}, {Groups: map[string]int{"sre": 0}},
	} {
		if err := checkFloor(floor); err == nil {
			t.Errorf("%+v is not refused", floor)
		}
	}
}
