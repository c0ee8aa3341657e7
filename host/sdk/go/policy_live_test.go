package signoff_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"signoff.dev/signoff"
	"signoff.dev/signoff/verifier"
)

const liveRules = `
format = 1
name = "live"
default = "require_approval"

[[rule]]
id = "small"
action = "deploy"
when = "context.replicas <= 3 && facts.requester == 'agent:deployer'"
verdict = "allow"

[[rule]]
id = "never"
action = "forbidden"
verdict = "deny"
reason = "never: {context.why}"

[[rule]]
id = "money"
action = "transfer"
when = "context.amount > 10 || plan != null"
verdict = "require_approval"
threshold = 2
groups = { sre = 1 }
`

// team makes the signer of policies, and returns its public key.
func (d *deployment) team() verifier.Keyring {
	d.t.Helper()
	if err := os.Mkdir(filepath.Join(d.home, "team"), 0o700); err != nil {
		d.t.Fatal(err)
	}
	made := d.run("team", "", "key", "generate", "--id", "team", "--use", "module", "--slot", "policy")
	entry := strings.SplitN(made[strings.Index(made, "{"):], "\n", 2)[0]
	path := filepath.Join(d.home, "team", "signers.json")
	if err := os.WriteFile(path, []byte(entry), 0o600); err != nil {
		d.t.Fatal(err)
	}
	d.run("server", "", "key", "import", path, "--use", "module", "--slot", "policy", "--yes")
	signers, err := verifier.ReadSigners(path)
	if err != nil || len(signers) != 1 {
		d.t.Fatal(signers, err)
	}
	return signers
}

// ship activates a policy and returns its digest.
func (d *deployment) ship(rules, version string) string {
	d.t.Helper()
	if err := os.WriteFile(filepath.Join(d.home, "team", "rules.toml"), []byte(rules), 0o600); err != nil {
		d.t.Fatal(err)
	}
	d.run("team", "", "policy", "build", "rules.toml", "-o", "policy.wasm")
	var signed struct{ Digest string }
	printed := d.run("team", "", "module", "sign", "policy.wasm", "--slot", "policy", "--name", "live", "--version", version,
		"--key", "team", "--audience", audience, "--json")
	if err := json.Unmarshal([]byte(printed), &signed); err != nil {
		d.t.Fatal(err)
	}
	token := strings.TrimSpace(d.run("team", d.admin, "token", "create", "--subject", "policy@company.com", "--role", "policy"))
	d.run("team", token, "module", "push", "policy.wasm")
	d.run("team", token, "module", "activate", signed.Digest)
	return signed.Digest
}

func TestLivePolicy(t *testing.T) {
	d := live(t)
	signers := d.team()
	first := d.ship(liveRules, "1")
	client := newClient(t, d.url, signoff.WithToken(d.agent), signoff.WithAudience(audience))
	p, err := client.Policy(context.Background(), signoff.PolicySettings{
		Signers: signers, Queue: filepath.Join(t.TempDir(), "queue"),
	})
	if err != nil {
		t.Fatal(err)
	}
	asked := []signoff.Attempt{
		{Agent: "deployer", Action: "deploy", Context: `{"replicas": 3}`},
		{Agent: "deployer", Action: "deploy", Context: `{"replicas": 4}`},
		{Agent: "deployer", Action: "deploy", Context: `{}`},
		{Agent: "deployer", Action: "forbidden", Context: map[string]any{"why": "Zoë\u202e"}},
		{Agent: "deployer", Action: "transfer", Context: `{"amount": 11}`},
		{Agent: "deployer", Action: "transfer", Context: `{"amount": 1}`, Plan: `{"steps": []}`},
		{Agent: "deployer", Action: "unknown", Context: `{}`},
	}
	for _, attempt := range asked {
		here, err := p.Evaluate(context.Background(), attempt)
		if err != nil {
			t.Fatal(err)
		}
		there, err := client.Evaluate(context.Background(), attempt)
		if err != nil {
			t.Fatal(err)
		}
		if !here.Local || here.Decision != there.Decision || here.Rule != there.Rule || here.Policy != first ||
			len(here.Failed) != len(there.Failed) || here.Reason != "" && here.Reason != there.Reason {
			t.Errorf("%s %v: %+v here, %+v at the server", attempt.Action, attempt.Context, here, there)
		}
	}
	second := d.ship(strings.Replace(liveRules, `"allow"`, `"deny"`, 1), "2")
	until(p, func(status signoff.PolicyStatus) bool { return status.Digest == second })
	verdict, err := p.Evaluate(context.Background(), asked[0])
	if err != nil || verdict.Decision != "deny" || !verdict.Local {
		t.Errorf("%+v, %v", verdict, err)
	}
	if err := p.Close(context.Background()); err != nil || p.Status().Pending != 0 {
		t.Fatal(err, p.Status())
	}
	reported := 0
	admin := newClient(t, d.url, signoff.WithToken(d.admin))
	for event, err := range admin.Events(context.Background(), "0") {
		if err != nil {
			t.Fatal(err)
		}
		reported += strings.Count(event.Data, `"decided_at"`)
		if reported == len(asked)+1 {
			break
		}
	}
}
