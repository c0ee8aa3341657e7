// Package wasm holds what the verifier and policies share: how the core module is cut out of a component,
// and where compiled code is kept.
package wasm

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

var (
	// coreHeader begins a core module, version 1.
	coreHeader = []byte{0x00, 'a', 's', 'm', 0x01, 0x00, 0x00, 0x00}
	// componentHeader begins a component: version 13, layer 1.
	componentHeader = []byte{0x00, 'a', 's', 'm', 0x0d, 0x00, 0x01, 0x00}
)

// Sections of a component.
const (
	coreModuleSection = 1
	importSection     = 10
)

// CoreModule returns the core module of a component. wazero runs core modules only, and the component
// holds its module byte for byte.
//
// Errors: not a component; malformed sections; imports; no core module, or several, which only a runtime
// for components can link.
func CoreModule(component []byte) ([]byte, error) {
	rest, found := bytes.CutPrefix(component, componentHeader)
	if !found {
		return nil, errors.New("it is not a WebAssembly component")
	}
	var core []byte
	for len(rest) > 0 {
		id, body, after, err := section(rest)
		if err != nil {
			return nil, fmt.Errorf("section at byte %d: %w", len(component)-len(rest), err)
		}
		switch {
		case id == importSection:
			return nil, errors.New("the component has imports")
		case id == coreModuleSection && core != nil:
			return nil, errors.New("the component contains several core modules")
		case id == coreModuleSection && !bytes.HasPrefix(body, coreHeader):
			return nil, errors.New("the component's module is not a core module of version 1")
		case id == coreModuleSection:
			core = body
		}
		rest = after
	}
	if core == nil {
		return nil, errors.New("the component contains no core module")
	}
	return core, nil
}

// section reads one section: an id, the size of its body as LEB128 of at most 32 bits, the body.
func section(data []byte) (id byte, body, rest []byte, err error) {
	size, after, err := number(data[1:])
	if err != nil {
		return 0, nil, nil, err
	}
	if uint64(size) > uint64(len(after)) {
		return 0, nil, nil, fmt.Errorf("it has %d bytes, only %d are there", size, len(after))
	}
	return data[0], after[:size], after[size:], nil
}

// number reads an unsigned LEB128 of at most 32 bits.
func number(data []byte) (value uint32, rest []byte, err error) {
	read, size := binary.Uvarint(data)
	if size <= 0 || size > binary.MaxVarintLen32 || read > 0xffff_ffff {
		return 0, nil, errors.New("malformed number")
	}
	return uint32(read), data[size:], nil
}
