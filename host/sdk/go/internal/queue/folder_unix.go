//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package queue

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

const (
	// foldersMax is how many processes can use one queue at once.
	foldersMax = 64
	lockName   = "lock"
)

// prefix begins the names of the folders of a deployment: its decisions go to no other.
func prefix(audience string) string {
	return "go-" + url.PathEscape(audience) + "-"
}

// lockedFolder returns the first folder of a deployment that no other process uses, and its lock.
func lockedFolder(base, audience string) (string, *os.File, error) {
	if err := os.MkdirAll(base, 0o700); err != nil {
		return "", nil, err
	}
	if err := checkPrivate(base); err != nil {
		return "", nil, fmt.Errorf("the folder `%s`: %w", base, err)
	}
	for number := range foldersMax {
		folder := filepath.Join(base, fmt.Sprintf("%s%d", prefix(audience), number))
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return "", nil, err
		}
		lock, err := tryLock(folder)
		if err != nil {
			return "", nil, err
		}
		if lock != nil {
			return folder, lock, syncFolder(base)
		}
	}
	return "", nil, fmt.Errorf("%d processes use the folder `%s`", foldersMax, base)
}

// tryLock locks a folder; it returns nil if another process has it.
func tryLock(folder string) (*os.File, error) {
	lock, err := os.OpenFile(filepath.Join(folder, lockName), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		return lock, nil
	}
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, lock.Close()
	}
	return nil, errors.Join(err, lock.Close())
}

// moveLeftOvers moves the batches of ended processes into a folder.
func moveLeftOvers(base, audience, folder string) error {
	entries, err := os.ReadDir(base)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		other := filepath.Join(base, entry.Name())
		if !entry.IsDir() || other == folder || !isNumbered(entry.Name(), prefix(audience)) {
			continue
		}
		lock, err := tryLock(other)
		if err != nil {
			return err
		}
		if lock == nil {
			continue
		}
		if err := errors.Join(moveBatches(other, folder), lock.Close()); err != nil {
			return err
		}
	}
	return nil
}

// isNumbered reports whether a name is a prefix and a number: the name of another deployment may begin
// with the same prefix.
func isNumbered(name, prefix string) bool {
	number, found := strings.CutPrefix(name, prefix)
	return found && number != "" && strings.Trim(number, "0123456789") == ""
}

func moveBatches(from, to string) error {
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		name := entry.Name()
		if !strings.HasSuffix(name, openEnd) && !strings.HasSuffix(name, sealedEnd) {
			continue
		}
		if err := os.Rename(filepath.Join(from, name), filepath.Join(to, name)); err != nil {
			return err
		}
	}
	return errors.Join(syncFolder(to), syncFolder(from))
}

// checkPrivate refuses a folder that other users can read or write.
func checkPrivate(folder string) error {
	info, err := os.Stat(folder)
	if err != nil {
		return err
	}
	system, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !ok || !info.IsDir():
		return errors.New("it is not a folder")
	case int(system.Uid) != os.Geteuid():
		return errors.New("it belongs to another user")
	case info.Mode().Perm()&0o077 != 0:
		return fmt.Errorf("other users can read or write it (mode %04o); set its mode to 0700", info.Mode().Perm())
	}
	return nil
}
