package wasm

import (
	"bytes"
	"errors"
	"fmt"
)

// tableSection is the section of a core module that declares its tables.
const tableSection = 4

// Types of elements, and flags of limits.
const (
	funcref   = 0x70
	externref = 0x6f
	hasMax    = 0x01
)

// CheckTables refuses a core module whose tables could grow beyond this number of elements together:
// wazero limits memories, and not tables.
//
// Errors: malformed sections; a table without a maximum, or of a form that wazero does not run; too many
// elements.
func CheckTables(core []byte, elementsMax uint64) error {
	rest, found := bytes.CutPrefix(core, coreHeader)
	if !found {
		return errors.New("it is not a core module of version 1")
	}
	for len(rest) > 0 {
		id, body, after, err := section(rest)
		if err != nil {
			return err
		}
		if id == tableSection {
			if err := checkTables(body, elementsMax); err != nil {
				return err
			}
		}
		rest = after
	}
	return nil
}

func checkTables(body []byte, elementsMax uint64) error {
	count, rest, err := number(body)
	if err != nil {
		return err
	}
	var sum uint64
	for range count {
		if len(rest) < 2 || rest[0] != funcref && rest[0] != externref || rest[1] != hasMax {
			return errors.New("a table without a maximum, or of an unknown form")
		}
		if _, rest, err = number(rest[2:]); err != nil {
			return err
		}
		var most uint32
		if most, rest, err = number(rest); err != nil {
			return err
		}
		if sum += uint64(most); sum > elementsMax {
			return fmt.Errorf("its tables can have %d elements, the limit is %d", sum, elementsMax)
		}
	}
	return nil
}
