//go:build unix

package signoff

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
)

// readPrivate reads a regular file that only this user can read and write.
//
// Errors: it cannot be opened, is of another user, other users can read or write it, it is too large.
func readPrivate(path string, limit int64) ([]byte, error) {
	// Opening a pipe must not block.
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	system, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !ok || !info.Mode().IsRegular():
		return nil, errors.New("it is not a regular file")
	case int(system.Uid) != os.Geteuid():
		return nil, errors.New("it belongs to another user")
	case info.Mode().Perm()&0o077 != 0:
		return nil, fmt.Errorf("other users can read or write it (mode %04o); set its mode to 0600", info.Mode().Perm())
	}
	return readLimited(file, limit)
}

func readLimited(file io.Reader, limit int64) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err == nil && int64(len(text)) > limit {
		err = fmt.Errorf("it is larger than %d bytes", limit)
	}
	return text, err
}
