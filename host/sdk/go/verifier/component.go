package verifier

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

// coreModuleSection is the id of a component's section that holds a core module.
const coreModuleSection = 1

// coreModule returns the first core module in a component. wazero runs core modules only, and the
// component holds its module byte for byte.
func coreModule(component []byte) ([]byte, error) {
	rest, found := bytes.CutPrefix(component, componentHeader)
	if !found {
		return nil, errors.New("the verifier is not a WebAssembly component")
	}
	for len(rest) > 0 {
		id, body, after, err := section(rest)
		if err != nil {
			return nil, fmt.Errorf("section at byte %d: %w", len(component)-len(rest), err)
		}
		if id == coreModuleSection {
			if !bytes.HasPrefix(body, coreHeader) {
				return nil, errors.New("the component's first module is not a core module of version 1")
			}
			return body, nil
		}
		rest = after
	}
	return nil, errors.New("the component contains no core module")
}

// section reads one section: an id, the size of its body as LEB128 of at most 32 bits, the body.
func section(data []byte) (id byte, body, rest []byte, err error) {
	size, read := binary.Uvarint(data[1:])
	if read <= 0 || read > binary.MaxVarintLen32 || size > 0xffff_ffff {
		return 0, nil, nil, errors.New("malformed size")
	}
	rest = data[1+read:]
	if size > uint64(len(rest)) {
		return 0, nil, nil, fmt.Errorf("it has %d bytes, only %d are there", size, len(rest))
	}
	return data[0], rest[:size], rest[size:], nil
}
