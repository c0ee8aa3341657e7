// Package fault lets tests force failures that nothing outside this module can cause.
package fault

// Trap makes one instance of a verifier trap, as in a call, and returns the error of that call. Package
// verifier sets it; the argument is its *Verifier.
var Trap func(verifier any) error
