package policy_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"signoff.dev/signoff/internal/policy"
	"signoff.dev/signoff/internal/policytest"
)

const benchRules = `
format = 1
name = "bench"

[[rule]]
id = "small"
action = "deploy"
when = "context.replicas <= 3 && facts.requester == 'agent:deployer'"
verdict = "allow"
`

// BenchmarkEvaluate measures an evaluation in a fresh instance: of a policy that does nothing, and of one
// that `signoff policy build` makes.
func BenchmarkEvaluate(b *testing.B) {
	b.Run("nothing", func(b *testing.B) { measure(b, policytest.Policy{Decision: "allow"}.Component()) })
	b.Run("rules", func(b *testing.B) {
		binary := os.Getenv("SIGNOFF_BIN")
		if binary == "" {
			b.Skip("SIGNOFF_BIN is not set: it names the signoff binary that builds the policy")
		}
		folder := b.TempDir()
		if err := os.WriteFile(filepath.Join(folder, "rules.toml"), []byte(benchRules), 0o600); err != nil {
			b.Fatal(err)
		}
		build := exec.Command(binary, "policy", "build", "rules.toml", "-o", "policy.wasm")
		build.Dir = folder
		if printed, err := build.CombinedOutput(); err != nil {
			b.Fatalf("%v: %s", err, printed)
		}
		component, err := os.ReadFile(filepath.Join(folder, "policy.wasm"))
		if err != nil {
			b.Fatal(err)
		}
		measure(b, component)
	})
}

func measure(b *testing.B, component []byte) {
	module, err := policy.Compile(component, 64<<20, policy.TimeMax, b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	defer module.Close()
	asked := policy.Attempt{
		Agent: "deployer", Action: "deploy", Context: `{"replicas": 3}`, Facts: `{"requester": "agent:deployer"}`, Now: 1_760_700_600,
	}
	b.ReportAllocs()
	for b.Loop() {
		if verdict, err := module.Evaluate(context.Background(), asked); err != nil || verdict.Decision != "allow" {
			b.Fatal(verdict, err)
		}
	}
}
