//go:build !unix

package wasm

// isPrivate is false where ownership cannot be checked: nothing is cached without an explicit folder.
func isPrivate(string) bool {
	return false
}
