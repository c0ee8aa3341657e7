package policy

import (
	"context"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/tetratelabs/wazero/api"
)

// instance is one copy of a policy, for one evaluation: the canonical ABI of `evaluate`.
type instance struct {
	ctx    context.Context
	module api.Module
	memory api.Memory
}

// Offsets in the record `verdict`, in bytes. A text is an address and a length; an optional one follows a
// discriminant.
const (
	atDecision    = 0
	atRule        = 8
	atReason      = 20
	atRequirement = 32
	atFailed      = 44
	textBytes     = 8
	alignment     = 4
)

// errOutside says that an address of the policy leads out of its memory.
var errOutside = errors.New("an address outside the memory")

func (i *instance) evaluate(attempt Attempt) (*Verdict, error) {
	arguments := make([]uint64, 0, 12)
	for _, text := range []string{attempt.Agent, attempt.Action, attempt.Context} {
		place, err := i.lower(text)
		if err != nil {
			return nil, err
		}
		arguments = append(arguments, place, uint64(len(text)))
	}
	if attempt.Plan == nil {
		arguments = append(arguments, 0, 0, 0)
	} else {
		place, err := i.lower(*attempt.Plan)
		if err != nil {
			return nil, err
		}
		arguments = append(arguments, 1, place, uint64(len(*attempt.Plan)))
	}
	place, err := i.lower(attempt.Facts)
	if err != nil {
		return nil, err
	}
	arguments = append(arguments, place, uint64(len(attempt.Facts)), attempt.Now)
	result, err := i.run(evaluateName, arguments...)
	if err != nil {
		return nil, err
	}
	verdict, err := i.lift(uint32(result))
	if err != nil {
		return nil, fmt.Errorf("malformed verdict: %w", err)
	}
	if i.module.ExportedFunction(postName) != nil {
		if _, err := i.run(postName, result); err != nil {
			return nil, err
		}
	}
	return verdict, nil
}

// lower copies a text into the policy's memory.
func (i *instance) lower(text string) (uint64, error) {
	place, err := i.run(reallocName, 0, 0, 1, uint64(len(text)))
	if err != nil {
		return 0, err
	}
	if !i.memory.WriteString(uint32(place), text) {
		return 0, errOutside
	}
	return place, nil
}

// run calls one function; its result is 0 if it has none.
func (i *instance) run(name string, arguments ...uint64) (uint64, error) {
	results, err := i.module.ExportedFunction(name).Call(i.ctx, arguments...)
	if err != nil {
		return 0, fmt.Errorf("it trapped: %w", err)
	}
	if len(results) == 0 {
		return 0, nil
	}
	return results[0], nil
}

// lift reads and validates the verdict at an address. Texts are read only up to their limits, because
// they may overlap. A sum of addresses cannot wrap around unnoticed: its first part is outside then.
func (i *instance) lift(record uint32) (*Verdict, error) {
	if record%alignment != 0 {
		return nil, errors.New("an address that is not aligned")
	}
	var verdict Verdict
	var err error
	if verdict.Decision, err = i.text("decision", record+atDecision, decisionBytesMax); err != nil {
		return nil, err
	}
	var requirement *string
	for _, optional := range []struct {
		name  string
		at    uint32
		limit uint32
		place **string
	}{
		{"rule", atRule, identifierBytesMax, &verdict.Rule},
		{"reason", atReason, reasonBytesMax, &verdict.Reason},
		{"requirement", atRequirement, requirementBytesMax, &requirement},
	} {
		if *optional.place, err = i.optional(optional.name, record+optional.at, optional.limit); err != nil {
			return nil, err
		}
	}
	if verdict.Failed, err = i.failed(record + atFailed); err != nil {
		return nil, err
	}
	return verdict.checked(requirement)
}

func (i *instance) text(name string, pair, limit uint32) (string, error) {
	address, first := i.memory.ReadUint32Le(pair)
	length, second := i.memory.ReadUint32Le(pair + textBytes/2)
	if !first || !second {
		return "", errOutside
	}
	if length > limit {
		return "", fmt.Errorf("%s is %d bytes, the limit is %d", name, length, limit)
	}
	text, there := i.memory.Read(address, length)
	if !there {
		return "", errOutside
	}
	if !utf8.Valid(text) {
		return "", fmt.Errorf("%s is not UTF-8", name)
	}
	return string(text), nil
}

func (i *instance) optional(name string, at, limit uint32) (*string, error) {
	discriminant, there := i.memory.ReadByte(at)
	switch {
	case !there:
		return nil, errOutside
	case discriminant == 0:
		return nil, nil
	case discriminant > 1:
		return nil, fmt.Errorf("%s has the discriminant %d", name, discriminant)
	}
	text, err := i.text(name, at+alignment, limit)
	return &text, err
}

func (i *instance) failed(pair uint32) ([]string, error) {
	address, first := i.memory.ReadUint32Le(pair)
	count, second := i.memory.ReadUint32Le(pair + textBytes/2)
	switch {
	case !first || !second:
		return nil, errOutside
	case address%alignment != 0:
		return nil, errors.New("an address that is not aligned")
	case count > failedMax:
		return nil, fmt.Errorf("failed names %d rules, the limit is %d", count, failedMax)
	}
	ids := make([]string, count)
	for index := range ids {
		var err error
		if ids[index], err = i.text("failed", address+uint32(index)*textBytes, identifierBytesMax); err != nil {
			return nil, err
		}
	}
	return ids, nil
}
