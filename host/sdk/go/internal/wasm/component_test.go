package wasm

import (
	"bytes"
	"os"
	"testing"
)

// verifierFile is a component with one core module.
const verifierFile = "../../verifier/verifier.wasm"

func verifierComponent(t *testing.T) []byte {
	t.Helper()
	data, err := os.ReadFile(verifierFile)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestCoreModuleIsCutOut(t *testing.T) {
	component := verifierComponent(t)
	core, err := CoreModule(component)
	if err != nil || !bytes.HasPrefix(core, coreHeader) || len(core) < len(component)/2 {
		t.Fatalf("%d bytes, %v", len(core), err)
	}
	if _, err := CoreModule(core); err == nil {
		t.Error("a core module is taken for a component")
	}
}

func TestMalformedComponentsAreRefused(t *testing.T) {
	component := verifierComponent(t)
	module := append([]byte{1, 8}, coreHeader...)
	with := func(sections ...byte) []byte { return append(bytes.Clone(componentHeader), sections...) }
	for name, data := range map[string][]byte{
		"nothing":                          nil,
		"half a header":                    componentHeader[:5],
		"no section":                       with(),
		"a section without size":           with(1),
		"a size that ends early":           with(1, 0x80),
		"a size of 6 bytes":                with(1, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00),
		"a size over 32 bits":              with(1, 0xff, 0xff, 0xff, 0xff, 0x7f),
		"a size past the end":              with(1, 5, 0),
		"no core module":                   with(0, 1, 0, 2, 1, 0),
		"not a module":                     with(1, 2, 0, 0),
		"a component in place of a module": with(append([]byte{1, 8}, componentHeader...)...),
		"imports":                          with(append([]byte{10, 1, 0}, module...)...),
		"two core modules":                 with(append(bytes.Clone(module), module...)...),
		"a cut component":                  component[:len(component)/2],
	} {
		if core, err := CoreModule(data); err == nil {
			t.Errorf("%s: found a module of %d bytes", name, len(core))
		}
	}
	skipped := with(append([]byte{0, 1, 7, 1, 8}, coreHeader...)...)
	if core, err := CoreModule(skipped); err != nil || !bytes.Equal(core, coreHeader) {
		t.Error("a section before the module is not skipped", err)
	}
}

func TestTablesThatCanGrowAreRefused(t *testing.T) {
	with := func(tables ...byte) []byte {
		return append(append(bytes.Clone(coreHeader), 4, byte(len(tables))), tables...)
	}
	for name, core := range map[string][]byte{
		"nothing":                 nil,
		"a component":             componentHeader,
		"a cut section":           append(bytes.Clone(coreHeader), 4, 9, 1),
		"no maximum":              with(1, funcref, 0, 1),
		"64-bit limits":           with(1, funcref, 5, 1, 1),
		"an initial value":        with(1, 0x40, 0, funcref, 1, 1, 1),
		"a table that is cut":     with(1, funcref, 1, 1),
		"too many elements":       with(1, funcref, 1, 1, 101),
		"too many in two tables":  with(2, funcref, 1, 1, 60, externref, 1, 0, 41),
		"a number that is cut":    with(1, funcref, 1, 1, 0x80),
		"more tables than listed": with(2, funcref, 1, 1, 1),
	} {
		if err := CheckTables(core, 100); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	for name, core := range map[string][]byte{
		"no table": coreHeader, "two tables": with(2, funcref, 1, 1, 60, externref, 1, 0, 40),
	} {
		if err := CheckTables(core, 100); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
