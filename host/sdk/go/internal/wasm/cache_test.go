package wasm

import (
	"os"
	"path/filepath"
	"testing"
)

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
	if folder := UserCache(); folder != "" {
		t.Errorf("%s is used", folder)
	}
}
