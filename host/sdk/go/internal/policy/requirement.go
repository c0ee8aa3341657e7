package policy

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"signoff.dev/signoff/verifier"
)

const (
	thresholdMax  = 16
	groupsMax     = 16
	ttlSecondsMax = 604_800
)

// parseRequirement reads `{ttl_seconds?, threshold?, groups?}` as lifecycle.open in wit/lifecycle.wit does.
func parseRequirement(text string) (*verifier.Requirement, error) {
	members, err := membersOf(text)
	if err != nil {
		return nil, err
	}
	var read verifier.Requirement
	for name, value := range members {
		isNull := string(value) == "null"
		switch {
		case name == "ttl_seconds" && isNull, name == "threshold" && isNull:
		case name == "ttl_seconds":
			read.TTLSeconds, err = whole(name, value, ttlSecondsMax)
		case name == "threshold":
			var count int64
			count, err = whole(name, value, thresholdMax)
			read.Threshold = int(count)
		case name == "groups":
			read.Groups, err = groups(value)
		default:
			err = errors.New("an unknown member")
		}
		if err != nil {
			return nil, err
		}
	}
	return &read, nil
}

func groups(text json.RawMessage) (map[string]int, error) {
	members, err := membersOf(string(text))
	if err != nil {
		return nil, fmt.Errorf("groups: %w", err)
	}
	if len(members) > groupsMax {
		return nil, fmt.Errorf("%d groups, the limit is %d", len(members), groupsMax)
	}
	read := make(map[string]int, len(members))
	for name, value := range members {
		if !IsIdentifier(name) {
			return nil, errors.New("a malformed group")
		}
		count, err := whole("groups."+name, value, thresholdMax)
		if err != nil {
			return nil, err
		}
		read[name] = int(count)
	}
	return read, nil
}

// whole reads a whole number from 1 to a limit.
func whole(name string, text json.RawMessage, limit int64) (int64, error) {
	number, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil || number < 1 || number > limit {
		return 0, fmt.Errorf("%s must be a whole number from 1 to %d", name, limit)
	}
	return number, nil
}

// membersOf reads one JSON object; a duplicate member is an error, of which encoding/json would take the
// last.
func membersOf(text string) (map[string]json.RawMessage, error) {
	if !json.Valid([]byte(text)) {
		return nil, errors.New("it is not a JSON object")
	}
	decoder := json.NewDecoder(strings.NewReader(text))
	if start, err := decoder.Token(); err != nil || start != json.Delim('{') {
		return nil, errors.New("it is not a JSON object")
	}
	members := map[string]json.RawMessage{}
	for decoder.More() {
		token, err := decoder.Token()
		if err != nil {
			return nil, err
		}
		name, isText := token.(string)
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil || !isText {
			return nil, errors.New("it is not a JSON object")
		}
		if _, twice := members[name]; twice {
			return nil, errors.New("a member is there twice")
		}
		members[name] = value
	}
	return members, nil
}
