package verifier

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCoreModuleIsCutOut(t *testing.T) {
	core, err := coreModule(component)
	if err != nil || !bytes.HasPrefix(core, coreHeader) || len(core) < len(component)/2 {
		t.Fatalf("%d bytes, %v", len(core), err)
	}
	if _, err := coreModule(core); err == nil {
		t.Error("a core module is taken for a component")
	}
}

func TestMalformedComponentsAreRefused(t *testing.T) {
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
		"a cut component":                  component[:len(component)/2],
	} {
		if core, err := coreModule(data); err == nil {
			t.Errorf("%s: found a module of %d bytes", name, len(core))
		}
	}
	skipped := with(append([]byte{0, 1, 7, 1, 8}, coreHeader...)...)
	if core, err := coreModule(skipped); err != nil || !bytes.Equal(core, coreHeader) {
		t.Error("a section before the module is not skipped", err)
	}
}

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

func TestCacheFolders(t *testing.T) {
	private := filepath.Join(t.TempDir(), "private")
	if err := os.Mkdir(private, 0o700); err != nil {
		t.Fatal(err)
	}
	if !isPrivate(private) {
		t.Error("a private folder is refused")
	}
	for _, mode := range []os.FileMode{0o750, 0o705, 0o720, 0o777} {
		if err := os.Chmod(private, mode); err != nil {
			t.Fatal(err)
		}
		if isPrivate(private) {
			t.Errorf("a folder of mode %o is used", mode)
		}
	}
	open := filepath.Join(t.TempDir(), "open")
	inside := filepath.Join(open, "inside")
	if err := os.MkdirAll(inside, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(open, 0o777); err != nil {
		t.Fatal(err)
	}
	if isPrivate(inside) || isPrivate(inside+".missing") {
		t.Error("a folder that others can replace is used")
	}
	t.Setenv("XDG_CACHE_HOME", open)
	t.Setenv("HOME", open)
	if folder := userCache(); folder != "" {
		t.Errorf("%s is used", folder)
	}
}
