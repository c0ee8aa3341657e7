//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly)

package queue

import (
	"errors"
	"os"
)

// lockedFolder refuses every folder where it cannot be locked.
func lockedFolder(string, string) (string, *os.File, error) {
	return "", nil, errors.New("on this system a folder cannot be locked; keep the queue in memory")
}

func moveLeftOvers(string, string, string) error { return nil }
