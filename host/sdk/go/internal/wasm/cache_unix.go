//go:build unix

package wasm

import (
	"os"
	"path/filepath"
	"syscall"
)

// isPrivate reports whether only this user can read or write a folder, and whether no other user can
// replace it or a folder above it.
func isPrivate(folder string) bool {
	folder, err := filepath.EvalSymlinks(folder)
	if err != nil {
		return false
	}
	mode, owner, ok := stat(folder)
	if !ok || owner != os.Geteuid() || mode.Perm()&0o077 != 0 {
		return false
	}
	for above := filepath.Dir(folder); ; above = filepath.Dir(above) {
		mode, owner, ok := stat(above)
		if !ok || owner != 0 && owner != os.Geteuid() {
			return false
		}
		// In a sticky folder such as /tmp others cannot rename what is ours.
		if mode.Perm()&0o022 != 0 && mode&os.ModeSticky == 0 {
			return false
		}
		if above == filepath.Dir(above) {
			return true
		}
	}
}

func stat(folder string) (mode os.FileMode, owner int, ok bool) {
	info, err := os.Lstat(folder)
	if err != nil || !info.IsDir() {
		return 0, 0, false
	}
	system, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, 0, false
	}
	return info.Mode(), int(system.Uid), true
}
