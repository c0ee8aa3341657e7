package signoff_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"signoff.dev/signoff"
	"signoff.dev/signoff/verifier"
)

// deployment is a real server with one approver.
type deployment struct {
	t                            *testing.T
	binary, home, url            string
	agent, approver, admin, keys string
}

// live starts the server that SIGNOFF_BIN names.
func live(t *testing.T) *deployment {
	t.Helper()
	binary := os.Getenv("SIGNOFF_BIN")
	if binary == "" {
		t.Skip("SIGNOFF_BIN is not set: it names the signoff binary for tests with a real server")
	}
	isolate(t)
	d := &deployment{t: t, binary: binary, home: t.TempDir()}
	for _, folder := range []string{"server", "alice"} {
		if err := os.Mkdir(filepath.Join(d.home, folder), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	var made struct {
		Token string `json:"admin_token"`
	}
	if err := json.Unmarshal([]byte(d.run("server", "", "init", "--audience", audience, "--json")), &made); err != nil {
		t.Fatal(err)
	}
	d.admin = made.Token
	generated := d.run("alice", "", "key", "generate", "--id", "alice", "--approver", "alice@company.com")
	entry := generated[strings.Index(generated, "{"):]
	d.keys = filepath.Join(d.home, "keys.json")
	if err := os.WriteFile(d.keys, []byte(strings.SplitN(entry, "\n", 2)[0]), 0o600); err != nil {
		t.Fatal(err)
	}
	d.run("server", "", "key", "import", d.keys, "--approver", "alice@company.com", "--group", "sre", "--yes")
	d.agent = d.token("agent:deployer", "requester", "executor")
	d.approver = d.token("alice@company.com", "approver")
	d.serve()
	return d
}

func (d *deployment) command(folder, token string, arguments ...string) *exec.Cmd {
	command := exec.Command(d.binary, arguments...)
	command.Dir = filepath.Join(d.home, folder)
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, "SIGNOFF_") && !strings.HasPrefix(variable, "HMAC_SECRET") {
			command.Env = append(command.Env, variable)
		}
	}
	if token != "" {
		command.Env = append(command.Env, "SIGNOFF_SERVER="+d.url, "SIGNOFF_TOKEN="+token)
	}
	return command
}

func (d *deployment) run(folder, token string, arguments ...string) string {
	d.t.Helper()
	command := d.command(folder, token, arguments...)
	var failed bytes.Buffer
	command.Stderr = &failed
	printed, err := command.Output()
	if err != nil {
		d.t.Fatalf("signoff %s: %v: %s", strings.Join(arguments, " "), err, failed.String())
	}
	return string(printed)
}

func (d *deployment) token(subject string, roles ...string) string {
	d.t.Helper()
	arguments := []string{"token", "create", "--subject", subject}
	for _, role := range roles {
		arguments = append(arguments, "--role", role)
	}
	return strings.TrimSpace(d.run("server", "", arguments...))
}

func (d *deployment) serve() {
	d.t.Helper()
	server := d.command("server", "", "serve", "--quiet", "--listen", "127.0.0.1:0", "--json")
	printed, err := server.StdoutPipe()
	if err == nil {
		err = server.Start()
	}
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait()
	})
	lines := bufio.NewReader(printed)
	first, err := lines.ReadBytes('\n')
	if err != nil {
		d.t.Fatal("the server did not start: ", err)
	}
	go func() { _, _ = io.Copy(io.Discard, lines) }()
	var started struct{ URL string }
	if err := json.Unmarshal(first, &started); err != nil {
		d.t.Fatal(err)
	}
	d.url = started.URL
}

// pinned is the executor's client.
func (d *deployment) pinned() *signoff.Client {
	return newClient(d.t, d.url, signoff.WithToken(d.agent), signoff.WithKeysFile(d.keys), signoff.WithAudience(audience))
}

// decide decides the next pending request as Alice does.
func (d *deployment) decide(decision string) {
	d.t.Helper()
	client := newClient(d.t, d.url, signoff.WithToken(d.approver))
	for {
		for approval, err := range client.List(context.Background(), signoff.Filter{Status: signoff.Pending}) {
			if err != nil {
				d.t.Error(err)
				return
			}
			command := d.command("alice", d.approver, decision, approval.ID, "--comment", "seen", "--yes")
			if printed, err := command.CombinedOutput(); err != nil {
				d.t.Errorf("%v: %s", err, printed)
			}
			return
		}
		time.Sleep(pollPause)
	}
}

func TestLiveGuard(t *testing.T) {
	d := live(t)
	client := d.pinned()
	decide := func(decision string) (wait func()) {
		var group sync.WaitGroup
		group.Go(func() { d.decide(decision) })
		return group.Wait
	}
	action := signoff.Action{
		Agent: "deployer", Action: "deploy", Context: map[string]any{"target": "prod", "replicas": 3},
		Groups: map[string]int{"sre": 1}, Plan: `{"steps": ["read", "write"]}`,
	}
	// The server grants no group that is not pinned; Alice's entry has none.
	wait := decide("approve")
	_, _, err := guarded(client, action)
	wait()
	is(t, err, signoff.ErrUnverified, "approver-not-allowed")
	keys, err := verifier.ReadKeyring(d.keys)
	if err != nil {
		t.Fatal(err)
	}
	keys[0].Groups = []string{"sre"}
	action.Trust = &signoff.Trust{Keys: keys, Floor: &verifier.Floor{Groups: map[string]int{"sre": 1}}}
	wait = decide("approve")
	ran, runs, err := guarded(client, action)
	wait()
	if err != nil || runs != 1 || ran.ContextText != deployed || !ran.Reported() || ran.Approvers[0].Groups[0] != "sre" {
		t.Fatal(ran, runs, err)
	}
	shown, err := client.Get(context.Background(), ran.ApprovalID)
	if err != nil || shown.Execution.Outcome != "succeeded" || shown.Execution.ID != ran.ID {
		t.Error(shown, err)
	}
	wait = decide("reject")
	_, _, err = guarded(client, action)
	wait()
	if refused := is(t, err, signoff.ErrRejected, "rejected"); refused.Comment != "seen" {
		t.Error(refused.Comment)
	}
}

func TestLiveSteps(t *testing.T) {
	d := live(t)
	client, ctx := d.pinned(), context.Background()
	request := signoff.Request{Agent: "deployer", Action: "deploy", Context: map[string]any{"a": 1}, IdempotencyKey: "one"}
	first, err := client.Request(ctx, request)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := client.Request(ctx, request); err != nil || again.ID != first.ID {
		t.Error(again, err)
	}
	request.Action = "other"
	_, err = client.Request(ctx, request)
	is(t, err, signoff.ErrInvalid, "idempotency-key-reused")
	claim := signoff.Claim{Agent: "deployer", Action: "deploy", Context: map[string]any{"a": 1}}
	_, err = client.Claim(ctx, first.ID, claim)
	is(t, err, signoff.ErrConflict, "not-approved")
	d.decide("approve")
	approved, err := client.Wait(ctx, first.ID)
	if err != nil || approved.Status != signoff.Approved || !strings.Contains(approved.Text, `"request_digest"`) {
		t.Fatal(approved, err)
	}
	verification, err := client.Verify(ctx, first.ID, signoff.Check{Signature: approved.Ballots[0].Signature, Context: "{}"})
	if err != nil || verification.Valid || verification.Code != "context-mismatch" {
		t.Error(verification, err)
	}
	other := claim
	other.Context = map[string]any{"a": 2}
	_, err = client.Claim(ctx, first.ID, other)
	if refused := is(t, err, signoff.ErrMismatch, "context-mismatch"); refused.RequestID == "" || !slices.Equal(refused.Members, []string{"/a"}) {
		t.Errorf("%+v", refused)
	}
	claimed, err := client.Claim(ctx, first.ID, claim)
	if err != nil || claimed.Execution == nil {
		t.Fatal(claimed, err)
	}
	reported, err := client.Report(ctx, first.ID, signoff.Outcome{ExecutionID: claimed.Execution.ID, Outcome: "succeeded"})
	if err != nil || reported.Execution.Outcome != "succeeded" {
		t.Error(reported, err)
	}
	d.receipt(client, first.ID)

	second, err := client.Request(ctx, signoff.Request{Agent: "deployer", Action: "deploy", Context: "{}"})
	if err != nil {
		t.Fatal(err)
	}
	admin := newClient(t, d.url, signoff.WithToken(d.admin))
	if extended, err := admin.Extend(ctx, second.ID, 7200e9); err != nil || !extended.ExpiresAt.After(second.ExpiresAt) {
		t.Error(extended, err)
	}
	if withdrawn, err := client.Withdraw(ctx, second.ID); err != nil || withdrawn.Status != signoff.Withdrawn {
		t.Error(withdrawn, err)
	}
	evaluation, err := client.Evaluate(ctx, signoff.Attempt{Agent: "deployer", Action: "deploy", Context: "{}"})
	if err != nil || evaluation.Decision != "require_approval" {
		t.Error(evaluation, err)
	}
	keys, err := client.Keys(ctx)
	if err != nil || !slices.ContainsFunc(keys, func(key signoff.ServerKey) bool { return key.ID == "alice" && key.PublicKey != "" }) {
		t.Error(keys, err)
	}
	for event, err := range admin.Events(ctx, "0") {
		if err != nil || event.ID != "1" || !json.Valid([]byte(event.Data)) {
			t.Error(event, err)
		}
		break
	}
	_, err = newClient(t, d.url, signoff.WithToken("sgnt_"+strings.Repeat("0", 64))).Get(ctx, first.ID)
	is(t, err, signoff.ErrForbidden, "unauthenticated")
	_, err = client.Get(ctx, someID)
	is(t, err, signoff.ErrNotFound, "not-found")
}

// receipt verifies the receipt of an approval with the log's key.
func (d *deployment) receipt(client *signoff.Client, id string) {
	d.t.Helper()
	receipt, err := client.Receipt(context.Background(), id)
	if err != nil {
		d.t.Fatal(err)
	}
	v, err := verifier.New()
	if err != nil {
		d.t.Fatal(err)
	}
	log := strings.TrimSpace(d.run("server", "", "audit", "key"))
	report, err := v.VerifyReceipt(receipt, verifier.ReceiptCheck{LogKeys: []string{log}, ID: id, Audience: audience})
	if err != nil || report.Signer == nil || !report.RequirementMet || report.Status != "executed" {
		d.t.Errorf("%+v, %v", report, err)
	}
	_, err = v.VerifyReceipt(receipt, verifier.ReceiptCheck{ID: id, Audience: "other"})
	var rejection *verifier.Rejection
	if !errors.As(err, &rejection) || rejection.Code != "audience-mismatch" {
		d.t.Error(err)
	}
	_, err = v.VerifyReceipt(strings.Replace(receipt, `"deploy"`, `"destroy"`, 1), verifier.ReceiptCheck{LogKeys: []string{log}})
	if !errors.As(err, &rejection) || rejection.Code != "receipt-invalid" {
		d.t.Error(err)
	}
}
