package wasm

import (
	"os"
	"path/filepath"
)

// cacheFolder names the runtime's version, because code that another version compiled must not be used.
const cacheFolder = "wazero-v1.12.0"

// UserCache returns the user's private cache folder, or nothing if there is none that only this user
// can write: then nothing is cached. Code in it is executed.
func UserCache() string {
	base, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	folder := filepath.Join(base, "signoff", cacheFolder)
	if os.MkdirAll(folder, 0o700) != nil || !isPrivate(folder) {
		return ""
	}
	return folder
}
