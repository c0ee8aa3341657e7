package verifier

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

// coreHeader begins a core module.
var coreHeader = []byte{0x00, 'a', 's', 'm', 0x01, 0x00, 0x00, 0x00}

func TestModulesOfAnotherShapeAreRefused(t *testing.T) {
	empty := bytes.Clone(coreHeader)
	memory := append(bytes.Clone(coreHeader), 5, 3, 1, 0, 1, 7, 10, 1, 6, 'm', 'e', 'm', 'o', 'r', 'y', 2, 0)
	imports := append(bytes.Clone(coreHeader), 1, 4, 1, 0x60, 0, 0, 2, 7, 1, 1, 'a', 1, 'b', 0, 0)
	for expected, core := range map[string][]byte{
		"does not export `memory`": empty, "does not export `": memory, "has imports": imports, "does not compile": []byte("x"),
	} {
		if _, err := compiled(core, ""); err == nil || !strings.Contains(err.Error(), expected) {
			t.Errorf("expected %s, found %v", expected, err)
		}
	}
}

func TestTrappedAndLargeInstancesAreDropped(t *testing.T) {
	loaded, err := embedded("")
	if err != nil {
		t.Fatal(err)
	}
	v := &Verifier{newPool(loaded)}
	digest := func(size int) {
		t.Helper()
		if _, err := v.Digest(map[string]string{"a": strings.Repeat("x", size)}); err != nil {
			t.Fatal(err)
		}
	}
	digest(1)
	if len(v.pool.idle) != 1 {
		t.Fatal("the instance was not kept")
	}
	first := v.pool.idle[0]
	digest(1)
	if v.pool.idle[0] != first {
		t.Error("the instance was not used again")
	}
	if err := v.trap(); !errors.Is(err, ErrTrapped) || len(v.pool.idle) != 0 {
		t.Error("a trapped instance is kept", err)
	}
	digest(1)
	if _, err := v.CallText(`{"op":"` + strings.Repeat("x", 5<<20) + `"}`); err != nil || len(v.pool.idle) != 0 {
		t.Error("an instance of more than 4 MiB is kept", err)
	}
	digest(1)
	if len(v.pool.places) != 0 {
		t.Error("a place is lost")
	}
}

func TestAnswersOutsideTheMemoryAreTraps(t *testing.T) {
	loaded, err := embedded("")
	if err != nil {
		t.Fatal(err)
	}
	lent, err := loaded.instantiate()
	if err != nil {
		t.Fatal(err)
	}
	defer lent.close()
	for _, pair := range []uint32{lent.memory.Size() - 4, lent.memory.Size(), 0xffff_fff0, 0xffff_ffff} {
		if text, err := lent.text(pair); err == nil {
			t.Errorf("read %q", text)
		}
	}
	lent.memory.WriteUint32Le(0, 16)
	lent.memory.WriteUint32Le(4, lent.memory.Size())
	if _, err := lent.text(0); err == nil {
		t.Error("a text past the end of the memory is read")
	}
}
