package signoff_test

import (
	"context"
	"testing"

	"signoff.dev/signoff"
)

// BenchmarkPolicy measures a whole local decision of a policy that does nothing: two calls of the verifier,
// the evaluation, and the record of it.
func BenchmarkPolicy(b *testing.B) {
	for name, queue := range map[string]string{"disk": b.TempDir() + "/queue", "memory": ""} {
		b.Run(name, func(b *testing.B) {
			s := newPolicyServer(b, allows)
			p := s.policy(func(settings *signoff.PolicySettings) { settings.Queue = queue })
			for b.Loop() {
				if verdict, err := p.Evaluate(context.Background(), attempt()); err != nil || !verdict.Local {
					b.Fatal(verdict, err)
				}
			}
		})
	}
}
