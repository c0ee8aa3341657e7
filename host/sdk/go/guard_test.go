package signoff_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"signoff.dev/signoff"
	"signoff.dev/signoff/verifier"
)

func deploy() signoff.Action {
	return signoff.Action{
		Agent: "deployer", Action: "deploy", Context: map[string]any{"target": "prod", "replicas": 3}, Threshold: 2,
	}
}

const deployed = `{"replicas": 3, "target": "prod"}`

// guarded runs a guard; it returns what ran and the error.
func guarded(client *signoff.Client, action signoff.Action) (*signoff.Execution, int, error) {
	var ran *signoff.Execution
	runs := 0
	err := client.Guard(context.Background(), action, func(_ context.Context, execution *signoff.Execution) error {
		ran = execution
		runs++
		return nil
	})
	return ran, runs, err
}

// refuses fails the test unless nothing ran and the error is of this kind and code.
func refuses(t *testing.T, o *office, client *signoff.Client, action signoff.Action, kind signoff.Kind, code string) *signoff.Error {
	t.Helper()
	ran, _, err := guarded(client, action)
	var refused *signoff.Error
	if ran != nil || !errors.As(err, &refused) || refused.Kind() != kind || refused.Code != code {
		t.Fatalf("expected %s with `%s`, ran %v, found %v", kind, code, ran, err)
	}
	for _, outcome := range o.outcomes {
		if outcome["outcome"] != "failed" {
			t.Errorf("the outcome `%v` was reported", outcome)
		}
	}
	return refused
}

func TestGuardRunsWhatWasApproved(t *testing.T) {
	o := newOffice(t)
	action := deploy()
	action.Plan = json.RawMessage(`{"steps":["read","write"]}`)
	action.Reason = "a new version"
	ran, runs, err := guarded(o.client(), action)
	if err != nil || runs != 1 {
		t.Fatal(runs, err)
	}
	if ran.ContextText != deployed || ran.PlanText != `{"steps": ["read", "write"]}` {
		t.Errorf("ran on %s and %s", ran.ContextText, ran.PlanText)
	}
	if ran.Context["replicas"] != json.Number("3") || len(ran.Plan["steps"].([]any)) != 2 {
		t.Errorf("parsed as %v and %v", ran.Context, ran.Plan)
	}
	if len(ran.Approvers) != 2 || ran.Approvers[0].Approver != "ann@company.com" || !ran.Reported() {
		t.Errorf("approved by %v, reported %v", ran.Approvers, ran.Reported())
	}
	var target struct {
		Target   string
		Replicas int `json:"replicas"`
	}
	if err := ran.Decode(&target); err == nil || !strings.Contains(err.Error(), "`context.target`") {
		t.Errorf("a field of another name was filled: %v", err)
	}
	if len(o.outcomes) != 1 || o.outcomes[0]["outcome"] != "succeeded" {
		t.Errorf("reported %v", o.outcomes)
	}
}

func TestGuardWithoutKeysTrustsTheServer(t *testing.T) {
	o := newOffice(t)
	client := newClient(t, o.url, signoff.WithToken("sgnt_secret"))
	ran, _, err := guarded(client, deploy())
	if err != nil || ran.ContextText != deployed || len(ran.Approvers) != 2 || !ran.Reported() {
		t.Fatal(ran, err)
	}
	if o.seen("GET", "/keys") != 0 {
		t.Error("the server's keys were read")
	}
	for name, lie := range map[string]func(map[string]any){
		"agent":   func(view map[string]any) { view["agent"] = "other" },
		"context": func(view map[string]any) { view["context_hash"] = strings.Repeat("0", 64) },
		"plan":    func(view map[string]any) { view["plan_hash"] = strings.Repeat("0", 64) },
	} {
		for _, route := range []string{"show", "execute"} {
			t.Run(name+" "+route, func(t *testing.T) {
				o := newOffice(t)
				o.lie = func(at string, view map[string]any) {
					if at == route {
						lie(view)
					}
				}
				refuses(t, o, newClient(t, o.url), deploy(), signoff.ErrUnverified, "untrusted-answer")
			})
		}
	}
}

func TestNothingRunsUnlessApproved(t *testing.T) {
	t.Run("rejected", func(t *testing.T) {
		o := newOffice(t)
		o.decide = func(r *record) { r.cast(o.people[0], "rejected", "not today") }
		refused := refuses(t, o, o.client(), deploy(), signoff.ErrRejected, "rejected")
		if refused.Comment != "not today" || refused.ApprovalID == "" || !errors.Is(refused, signoff.ErrNotApproved) {
			t.Errorf("%+v", refused)
		}
		if o.seen("POST", "/withdraw") != 0 {
			t.Error("a decided request was withdrawn")
		}
	})
	t.Run("withdrawn", func(t *testing.T) {
		o := newOffice(t)
		o.lie = func(_ string, view map[string]any) { view["status"] = "withdrawn" }
		refuses(t, o, o.client(), deploy(), signoff.ErrWithdrawn, "withdrawn")
	})
	t.Run("expired", func(t *testing.T) {
		o := newOffice(t)
		o.lie = func(_ string, view map[string]any) { view["status"] = "expired" }
		refuses(t, o, o.client(), deploy(), signoff.ErrExpired, "expired")
	})
	t.Run("denied", func(t *testing.T) {
		o := newOffice(t)
		o.instead = func(_ string, w http.ResponseWriter, _ *http.Request) bool {
			problem(w, 403, "policy-denied", "never on fridays")
			return true
		}
		if refused := refuses(t, o, o.client(), deploy(), signoff.ErrDenied, "policy-denied"); refused.Comment != "never on fridays" {
			t.Error(refused.Comment)
		}
	})
	t.Run("timed out", func(t *testing.T) {
		o := newOffice(t)
		o.decide = func(*record) {}
		action := deploy()
		action.Timeout = 2 * time.Second
		refuses(t, o, o.client(), action, signoff.ErrTimedOut, "timed-out")
		if o.seen("POST", "/withdraw") != 1 {
			t.Error("the request was not withdrawn")
		}
	})
}

func TestCancelledWaitWithdraws(t *testing.T) {
	o := newOffice(t)
	o.decide = func(*record) {}
	ctx, cancel := context.WithCancel(context.Background())
	o.instead = func(route string, _ http.ResponseWriter, _ *http.Request) bool {
		if route == "show" {
			cancel()
		}
		return false
	}
	err := o.client().Guard(ctx, deploy(), func(context.Context, *signoff.Execution) error {
		t.Error("it ran")
		return nil
	})
	if !errors.Is(err, signoff.ErrTimedOut) || !errors.Is(err, context.Canceled) || o.seen("POST", "/withdraw") != 1 {
		t.Error(err, o.requests)
	}
}

func TestCancelledClaimRunsNothingAndIsReported(t *testing.T) {
	o := newOffice(t)
	ctx, cancel := context.WithCancel(context.Background())
	o.instead = func(route string, _ http.ResponseWriter, _ *http.Request) bool {
		if route == "execute" {
			cancel()
		}
		return false
	}
	err := o.client().Guard(ctx, deploy(), func(context.Context, *signoff.Execution) error {
		t.Error("it ran")
		return nil
	})
	if !errors.Is(err, context.Canceled) || len(o.outcomes) != 1 || o.outcomes[0]["outcome"] != "failed" {
		t.Error(err, o.outcomes)
	}
}

// failure is an error whose text is secret.
type failure struct{}

func (failure) Error() string { return "password hunter2" }

func TestFailuresAreReportedByTypeAlone(t *testing.T) {
	o := newOffice(t)
	err := o.client().Guard(context.Background(), deploy(), func(context.Context, *signoff.Execution) error { return failure{} })
	if err != (failure{}) {
		t.Errorf("the function's error became %v", err)
	}
	if len(o.outcomes) != 1 || o.outcomes[0]["outcome"] != "failed" || o.outcomes[0]["detail"] != "signoff_test.failure" {
		t.Error(o.outcomes)
	}
}

func TestPanicsAreReportedAndGoOn(t *testing.T) {
	o := newOffice(t)
	client := o.client()
	func() {
		defer func() {
			if recover() != "boom" {
				t.Error("the panic was lost")
			}
		}()
		_ = client.Guard(context.Background(), deploy(), func(context.Context, *signoff.Execution) error { panic("boom") })
	}()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = client.Guard(context.Background(), deploy(), func(context.Context, *signoff.Execution) error {
			runtime.Goexit()
			return nil
		})
	}()
	<-done
	if len(o.outcomes) != 2 {
		t.Fatal(o.outcomes)
	}
	for _, outcome := range o.outcomes {
		if outcome["outcome"] != "failed" || outcome["detail"] != "panic" {
			t.Error(outcome)
		}
	}
}

func TestAReportThatFailsIsNoError(t *testing.T) {
	o := newOffice(t)
	o.instead = func(route string, w http.ResponseWriter, _ *http.Request) bool {
		if route == "outcome" {
			problem(w, 500, "internal-error", "")
			return true
		}
		return false
	}
	ran, _, err := guarded(o.client(), deploy())
	if err != nil || ran == nil || ran.Reported() {
		t.Error(ran, err)
	}
}

func TestARequestIsClaimedOnceInAProcess(t *testing.T) {
	o := newOffice(t)
	client := o.client()
	first, _, err := guarded(client, deploy())
	if err != nil {
		t.Fatal(err)
	}
	// A system's time that jumps forward for a while makes the process forget nothing.
	fast := signoff.WithClock(func() time.Time { return time.Now().Add(400 * 24 * time.Hour) })
	if _, _, err := guarded(newClient(t, o.url, signoff.WithToken("sgnt_secret"), fast), deploy()); err != nil {
		t.Fatal(err)
	}
	executions := o.seen("POST", "/execute")
	o.instead = func(route string, w http.ResponseWriter, _ *http.Request) bool {
		if route != "create" && route != "show" {
			return false
		}
		o.mutex.Lock()
		defer o.mutex.Unlock()
		o.lie = func(_ string, view map[string]any) { view["status"], view["execution"] = "approved", nil }
		o.show(w, o.records[first.ApprovalID], route, 201)
		return true
	}
	o.outcomes = nil
	refuses(t, o, client, deploy(), signoff.ErrUnverified, "untrusted-answer")
	if o.seen("POST", "/execute") != executions {
		t.Error("it was claimed again")
	}
}

func TestGuardsOwnSettings(t *testing.T) {
	o := newOffice(t)
	o.weakens = true
	pinned := func(change func(*signoff.Trust)) signoff.Option {
		trust := signoff.Trust{Keys: o.pinned()}
		change(&trust)
		return signoff.WithTrust(trust)
	}
	for code, trust := range map[string]func(*signoff.Trust){
		"audience-mismatch":    func(t *signoff.Trust) { t.Audience = "staging" },
		"requirement-too-weak": func(t *signoff.Trust) { t.Floor = &verifier.Floor{Threshold: 3} },
		"policy-mismatch":      func(t *signoff.Trust) { t.Policies = []string{strings.Repeat("0", 64)} },
		"key-unknown":          func(t *signoff.Trust) { t.Keys = newPerson("mallory").keys },
		"signature-malformed":  func(t *signoff.Trust) { t.Accept = []string{"v1"} },
	} {
		t.Run(code, func(t *testing.T) {
			_, _, err := guarded(o.client(pinned(trust)), deploy())
			var refused *signoff.Error
			if !errors.As(err, &refused) || refused.Code != code || refused.ApprovalID == "" {
				t.Error(err)
			}
		})
	}
	if o.seen("POST", "/execute") != 0 || o.seen("POST", "/withdraw") != 5 {
		t.Error(o.requests)
	}
}

func TestAnEarlierRequestDoesNotCount(t *testing.T) {
	o := newOffice(t)
	later := o.client(signoff.WithClock(func() time.Time { return time.Now().Add(2 * time.Minute) }))
	refuses(t, o, later, deploy(), signoff.ErrUnverified, "request-too-old")
	unset := o.client(signoff.WithClock(func() time.Time { return time.Unix(1_000_000_000, 0) }))
	refuses(t, o, unset, deploy(), signoff.ErrInvalid, "request-invalid")
}

func TestSecretsDoNotCountUnlessAllowed(t *testing.T) {
	o := newOffice(t)
	secret := verifier.Key{
		ID: "ann", Algorithm: "hmac-sha256", Material: "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE", Status: "active",
		Use: "approve", Approver: "ann@company.com",
	}
	trust := signoff.Trust{Keys: verifier.Keyring{secret, o.people[1].keys[0]}}
	refuses(t, o, o.client(signoff.WithTrust(trust)), deploy(), signoff.ErrUnverified, "key-unknown")
	trust.AllowHMAC = true
	refuses(t, o, o.client(signoff.WithTrust(trust)), deploy(), signoff.ErrUnverified, "signature-invalid")
}

func TestPinnedKeysNeedKeysAndAnAudience(t *testing.T) {
	o := newOffice(t)
	without := newClient(t, o.url, signoff.WithTrust(signoff.Trust{Audience: audience}))
	refuses(t, o, without, deploy(), signoff.ErrInvalid, "request-invalid")
	without = newClient(t, o.url, signoff.WithTrust(signoff.Trust{Keys: o.pinned()}))
	refuses(t, o, without, deploy(), signoff.ErrInvalid, "request-invalid")
	if len(o.requests) != 0 {
		t.Error(o.requests)
	}
}

func TestTheServersKeysOnlyRestrict(t *testing.T) {
	shown := func(p person, change func(map[string]any)) map[string]any {
		key := map[string]any{
			"id": p.name, "algorithm": "ed25519", "status": "active", "use": "approve", "approver": p.keys[0].Approver,
			"groups": p.keys[0].Groups, "public_key": string(p.keys[0].Material),
		}
		change(key)
		return key
	}
	groups := deploy()
	groups.Groups = map[string]int{"sre": 2}
	for name, test := range map[string]struct {
		change func(map[string]any)
		code   string
	}{
		"the same":                      {func(map[string]any) {}, ""},
		"revoked":                       {func(key map[string]any) { key["status"] = "revoked" }, "key-revoked"},
		"revoked by its id":             {func(key map[string]any) { key["status"], key["public_key"] = "revoked", "x" }, "key-revoked"},
		"revoked by its material":       {func(key map[string]any) { key["status"], key["id"] = "revoked", "other" }, "key-revoked"},
		"in a group that is not pinned": {func(key map[string]any) { key["groups"] = []string{"sre", "security"} }, ""},
		"out of a group":                {func(key map[string]any) { key["groups"] = []string{} }, "approver-not-allowed"},
	} {
		t.Run(name, func(t *testing.T) {
			o := newOffice(t)
			o.keys = []map[string]any{shown(o.people[0], test.change)}
			_, _, err := guarded(o.client(), groups)
			var refused *signoff.Error
			if test.code == "" && err != nil || test.code != "" && (!errors.As(err, &refused) || refused.Code != test.code) {
				t.Error(err)
			}
		})
	}
	t.Run("unreadable", func(t *testing.T) {
		o := newOffice(t)
		o.instead = func(route string, w http.ResponseWriter, _ *http.Request) bool {
			if route == "keys" {
				problem(w, 500, "keyring-unavailable", "")
			}
			return route == "keys"
		}
		refuses(t, o, o.client(), deploy(), signoff.ErrUnavailable, "keyring-unavailable")
	})
}

func TestALyingServerRunsNothing(t *testing.T) {
	other := func(view map[string]any) { view["context"] = map[string]any{"target": "prod", "replicas": 300} }
	for name, lie := range map[string]func(map[string]any){
		"id":          func(view map[string]any) { view["id"] = "appr_01k7s2e3m8q4w6x9y0z1a2b3c4" },
		"audience":    func(view map[string]any) { view["audience"] = "other" },
		"agent":       func(view map[string]any) { view["agent"] = "other" },
		"action":      func(view map[string]any) { view["action"] = "destroy" },
		"context":     other,
		"hash":        func(view map[string]any) { view["context_hash"] = strings.Repeat("0", 64) },
		"plan":        func(view map[string]any) { view["plan"] = map[string]any{} },
		"reason":      func(view map[string]any) { view["reason"] = "nothing to worry about" },
		"expiry":      func(view map[string]any) { view["expires_at"] = "2099-01-01T00:00:00Z" },
		"requirement": func(view map[string]any) { view["requirement"].(map[string]any)["threshold"] = 1 },
		"no ballots":  func(view map[string]any) { view["ballots"] = []any{} },
		"one ballot":  func(view map[string]any) { view["ballots"] = view["ballots"].([]any)[:1] },
		"twice": func(view map[string]any) {
			ballots := view["ballots"].([]any)
			view["ballots"] = []any{ballots[0], ballots[0]}
		},
		"status": func(view map[string]any) { view["status"] = "done" },
		"old":    func(view map[string]any) { view["requested_at"] = "2025-01-01T00:00:00Z" },
	} {
		for _, route := range []string{"show", "execute"} {
			t.Run(name+" in "+route, func(t *testing.T) {
				o := newOffice(t)
				o.lie = func(at string, view map[string]any) {
					if at == route {
						lie(view)
					}
				}
				ran, _, err := guarded(o.client(), deploy())
				if ran != nil || err == nil {
					t.Fatal("it ran")
				}
				if route == "show" && o.seen("POST", "/execute") != 0 {
					t.Error("it was claimed")
				}
			})
		}
	}
	for name, lie := range map[string]func(map[string]any){
		"no execution": func(view map[string]any) { view["execution"] = nil },
		"not claimed":  func(view map[string]any) { view["status"] = "approved"; view["execution"] = nil },
		"ended":        func(view map[string]any) { view["execution"].(map[string]any)["outcome"] = "succeeded" },
	} {
		t.Run("claim: "+name, func(t *testing.T) {
			o := newOffice(t)
			o.lie = func(at string, view map[string]any) {
				if at == "execute" {
					lie(view)
				}
			}
			if ran, _, err := guarded(o.client(), deploy()); ran != nil || err == nil {
				t.Error("it ran")
			}
		})
	}
}
