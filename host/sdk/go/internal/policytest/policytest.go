// Package policytest assembles small policies for tests, byte by byte.
package policytest

import (
	"encoding/binary"
	"slices"
)

// Record is where the verdict is in the memory of a policy.
const Record = 64

// texts is where the texts of the verdict begin, heap where the texts of an attempt are put.
const (
	texts = 128
	heap  = 32 << 10
)

// Policy is a component that returns one verdict, or runs other code.
type Policy struct {
	Decision                  string
	Rule, Reason, Requirement string
	Failed                    []string
	// Code replaces the body of `evaluate`; nil returns the verdict.
	Code []byte
	// Pages is the memory at the start, in pages of 64 KiB; zero is one.
	Pages byte
	// Patch may change the record's 52 bytes.
	Patch func(record []byte)
	// Without leaves out an export.
	Without string
}

// Instructions for Code.
var (
	Trap = []byte{0x00}
	// Loop never ends.
	Loop = []byte{0x03, 0x40, 0x0c, 0, 0x0b, 0x00}
	// GrowOrTrap wants 64 more pages, and traps if it does not get them.
	GrowOrTrap = append([]byte{0x41, 64 | 0x80, 0x00, 0x40, 0, 0x41, 0x7f, 0x46, 0x04, 0x40, 0x00, 0x0b}, Answer...)
	// Answer returns the record.
	Answer = constant(Record)
)

// EchoText makes the reason the text at a parameter and the next one.
func EchoText(parameter byte) []byte {
	return slices.Concat(
		[]byte{0x41}, signed(Record), []byte{0x41, 1, 0x3a, 0, 20},
		[]byte{0x41}, signed(Record), []byte{0x20, parameter, 0x36, 2, 24},
		[]byte{0x41}, signed(Record), []byte{0x20, parameter + 1, 0x36, 2, 28},
		Answer,
	)
}

// Component returns the bytes of the policy.
func (p Policy) Component() []byte {
	return Wrap(p.Core())
}

// Wrap makes a component of core modules.
func Wrap(modules ...[]byte) []byte {
	component := []byte{0, 'a', 's', 'm', 0x0d, 0, 1, 0}
	for _, module := range modules {
		component = append(component, section(1, module)...)
	}
	return component
}

// Core returns the core module of the policy.
func (p Policy) Core() []byte {
	code := p.Code
	if code == nil {
		code = Answer
	}
	i32s := func(count int) []byte { return slices.Repeat([]byte{0x7f}, count) }
	types := vector(
		slices.Concat([]byte{0x60, 4}, i32s(4), []byte{1, 0x7f}),
		slices.Concat([]byte{0x60, 12}, i32s(11), []byte{0x7e, 1, 0x7f}),
		[]byte{0x60, 1, 0x7f, 0},
	)
	const name = "signoff:approval/guardrails@0.1.0#evaluate"
	var exports [][]byte
	for index, export := range []string{"cabi_realloc", name, "cabi_post_" + name} {
		if export != p.Without {
			exports = append(exports, slices.Concat(text(export), []byte{0, byte(index)}))
		}
	}
	exports = append(exports, slices.Concat(text("memory"), []byte{2, 0}))
	// realloc: the old end of the heap is the place, and the size is added to it.
	realloc := []byte{0x23, 0, 0x23, 0, 0x20, 3, 0x6a, 0x24, 0}
	data := p.data()
	return slices.Concat(
		[]byte{0, 'a', 's', 'm', 1, 0, 0, 0},
		section(1, types),
		section(3, []byte{3, 0, 1, 2}),
		section(5, []byte{1, 0, max(p.Pages, 1)}),
		section(6, slices.Concat([]byte{1, 0x7f, 1, 0x41}, signed(heap), []byte{0x0b})),
		section(7, vector(exports...)),
		section(10, vector(function(realloc), function(code), function(nil))),
		section(11, slices.Concat([]byte{1, 0, 0x41}, signed(Record), []byte{0x0b}, unsigned(len(data)), data)),
	)
}

// data is the record, and its texts behind it.
func (p Policy) data() []byte {
	data := make([]byte, texts-Record)
	put := func(at int, value string) {
		binary.LittleEndian.PutUint32(data[at:], uint32(Record+len(data)))
		binary.LittleEndian.PutUint32(data[at+4:], uint32(len(value)))
		data = append(data, value...)
	}
	put(0, p.Decision)
	for at, value := range map[int]string{8: p.Rule, 20: p.Reason, 32: p.Requirement} {
		if value != "" {
			data[at] = 1
			put(at+4, value)
		}
	}
	for len(data)%4 != 0 {
		data = append(data, 0)
	}
	list := len(data)
	binary.LittleEndian.PutUint32(data[44:], uint32(Record+list))
	binary.LittleEndian.PutUint32(data[48:], uint32(len(p.Failed)))
	data = append(data, make([]byte, 8*len(p.Failed))...)
	for index, id := range p.Failed {
		put(list+8*index, id)
	}
	if p.Patch != nil {
		p.Patch(data[:52])
	}
	return data
}

func constant(value int) []byte { return append([]byte{0x41}, signed(value)...) }

func function(body []byte) []byte {
	whole := slices.Concat([]byte{0}, body, []byte{0x0b})
	return slices.Concat(unsigned(len(whole)), whole)
}

func section(id byte, body []byte) []byte {
	return slices.Concat([]byte{id}, unsigned(len(body)), body)
}

func vector(items ...[]byte) []byte {
	return slices.Concat(unsigned(len(items)), slices.Concat(items...))
}

func text(value string) []byte { return slices.Concat(unsigned(len(value)), []byte(value)) }

func unsigned(value int) []byte { return binary.AppendUvarint(nil, uint64(value)) }

// signed is the signed LEB128 of a number that is not negative.
func signed(value int) []byte {
	var out []byte
	for ; value >= 0x40; value >>= 7 {
		out = append(out, byte(value&0x7f)|0x80)
	}
	return append(out, byte(value))
}
