//go:build !unix

package signoff

import (
	"errors"
	"io/fs"
	"os"
)

// readPrivate refuses every file where it cannot be checked who else can read it.
func readPrivate(path string, _ int64) ([]byte, error) {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return nil, errors.New("on this system its permissions cannot be checked; use options or the environment")
}
