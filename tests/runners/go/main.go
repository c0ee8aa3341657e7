// Compares the audit log with Go's implementation: checkpoints, proofs, exports and receipts of signoff are
// checked with golang.org/x/mod/sumdb, the library of Go's own checksum database; signoff checks a log that
// Go made.
//
//	go run . /path/to/signoff
package main

import (
	"fmt"
	"os"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: go run . SIGNOFF")
		os.Exit(2)
	}
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "go runner:", err)
		os.Exit(1)
	}
}

func run(signoff string) error {
	home, err := newHome(signoff)
	if err != nil {
		return err
	}
	defer home.remove()
	ours, err := logOfSignoff(home)
	if err != nil {
		return fmt.Errorf("a log of signoff: %w", err)
	}
	theirs, err := logOfGo(home)
	if err != nil {
		return fmt.Errorf("a log of Go: %w", err)
	}
	fmt.Printf("go: %s; %s\n", ours, theirs)
	return nil
}
