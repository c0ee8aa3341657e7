// Compares conditions and regular expressions with cel-go, the reference implementation of CEL, and with Go's
// regexp: random conditions and patterns must give the same result here and there, except where signoff is
// stricter by a documented rule.
//
// Left out are the zero of a timestamp for `optional.ofNonZeroValue` (1970 here, the year 1 there), scripts of Unicode
// with a `_` in their name (Go 1.26 does not find them), rare characters, whose properties depend on the version of
// Unicode, and time zones that depend on the machine.
//
//	go run . [-seed N] [-conditions N] [-patterns N] /path/to/examples/conditions
package main

import (
	"flag"
	"fmt"
	"os"
)

func main() {
	var plan plan
	flag.Uint64Var(&plan.seed, "seed", 1, "seed of the random conditions and patterns")
	flag.IntVar(&plan.conditions, "conditions", 10_000, "number of conditions")
	flag.IntVar(&plan.patterns, "patterns", 10_000, "number of patterns")
	flag.BoolVar(&plan.wrong, "wrong", false, "change one answer of signoff, to see the comparison fail")
	flag.StringVar(&plan.list, "list", "", "file for all differences, each shortened")
	flag.Parse()
	if flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "usage: go run . [-seed N] [-conditions N] [-patterns N] CONDITIONS")
		os.Exit(2)
	}
	plan.program = flag.Arg(0)
	if err := plan.run(); err != nil {
		fmt.Fprintf(os.Stderr, "cel: seed %d: %v\n", plan.seed, err)
		os.Exit(1)
	}
}
