package signoff_test

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"signoff.dev/signoff"
	"signoff.dev/signoff/internal/policytest"
	"signoff.dev/signoff/verifier"
)

// decided fails the test unless the verdict is this one, made here or not.
func decided(t *testing.T, p *signoff.Policy, decision string, local bool) *signoff.Verdict {
	t.Helper()
	verdict, err := p.Evaluate(context.Background(), attempt())
	if err != nil {
		t.Fatal(err)
	}
	if verdict.Decision != decision || verdict.Local != local {
		t.Errorf("expected %s, local %v; found %+v, because %v", decision, local, verdict, p.Status().Reason)
	}
	if !local && verdict.Recorded != signoff.RecordedByServer {
		t.Errorf("recorded %s", verdict.Recorded)
	}
	return verdict
}

func TestAVerdictIsMadeHereAndReported(t *testing.T) {
	s := newPolicyServer(t, policytest.Policy{
		Decision: "require_approval", Rule: "money", Reason: "much", Requirement: `{"threshold": 2}`, Failed: []string{"odd"},
	}.Component())
	p := s.policy()
	verdict := decided(t, p, "require_approval", true)
	if verdict.Rule != "money" || verdict.Reason != "much" || verdict.Requirement.Threshold != 2 ||
		len(verdict.Failed) != 1 || verdict.Policy != digestOf(s.active) || verdict.Recorded != signoff.RecordedOnDisk {
		t.Errorf("%+v", verdict)
	}
	if status := p.Status(); !status.Local || status.Reason != nil || status.Digest != verdict.Policy || status.Pending != 1 {
		t.Errorf("%+v", status)
	}
	if err := p.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	if len(s.recorded()) != 1 || s.count("evaluate") != 0 || p.Status().Pending != 0 {
		t.Fatalf("%v, %v", s.recorded(), s.requests)
	}
	v, err := verifier.New()
	if err != nil {
		t.Fatal(err)
	}
	contextHash, err := v.Digest(`{"replicas": 3}`)
	if err != nil {
		t.Fatal(err)
	}
	planHash, err := v.Digest(`{"steps": []}`)
	if err != nil {
		t.Fatal(err)
	}
	recorded := s.recorded()[0]
	for name, expected := range map[string]any{
		"agent": "Deployer", "action": "deploy", "context_hash": contextHash, "plan_hash": planHash, "rule": "money",
		"decision": "require_approval", "policy": verdict.Policy,
	} {
		if recorded[name] != expected {
			t.Errorf("%s: expected %v, found %v", name, expected, recorded[name])
		}
	}
	if _, err := time.Parse(time.RFC3339, recorded["decided_at"].(string)); err != nil {
		t.Error(err)
	}
	decided(t, p, "allow", false)
}

func TestFactsAreThoseOfTheServer(t *testing.T) {
	s := newPolicyServer(t, policytest.Policy{Decision: "deny", Code: policytest.EchoText(9)}.Component())
	p := s.policy()
	if verdict := decided(t, p, "deny", true); verdict.Reason != `{"requester": "agent:deployer"}` {
		t.Error(verdict.Reason)
	}
	s = newPolicyServer(t, s.active)
	s.facts = nil
	p = s.policy()
	odd := attempt()
	odd.Agent = `A"\~`
	verdict, err := p.Evaluate(context.Background(), odd)
	if err != nil || verdict.Reason != `{"requester": "agent:a\"\\~"}` {
		t.Error(verdict, err)
	}
}

func TestTheServerIsAskedIfThePolicyIsNotTrusted(t *testing.T) {
	for name, change := range map[string]func(*policyServer, *signoff.PolicySettings){
		"no policy":        func(s *policyServer, _ *signoff.PolicySettings) { s.active = nil },
		"no signer":        func(_ *policyServer, settings *signoff.PolicySettings) { settings.Signers = verifier.Keyring{} },
		"a revoked signer": func(_ *policyServer, settings *signoff.PolicySettings) { settings.Signers[0].Status = "revoked" },
		"another use":      func(_ *policyServer, settings *signoff.PolicySettings) { settings.Signers[0].Use = "approve" },
		"another slot": func(_ *policyServer, settings *signoff.PolicySettings) {
			settings.Signers[0].Groups = []string{"verifier"}
		},
		"another audience": func(s *policyServer, _ *signoff.PolicySettings) { s.audience = "other" },
		"a manifest for another audience": func(s *policyServer, _ *signoff.PolicySettings) {
			s.manifest = func(manifest map[string]any) { manifest["audience"] = []string{"other"} }
		},
		"a manifest of another module": func(s *policyServer, _ *signoff.PolicySettings) {
			s.manifest = func(manifest map[string]any) { manifest["digest"] = strings.Repeat("0", 64) }
		},
		"a fact that is not there": func(s *policyServer, _ *signoff.PolicySettings) {
			s.manifest = func(manifest map[string]any) { manifest["facts"] = []string{"weather"} }
		},
		"facts as a list": func(s *policyServer, _ *signoff.PolicySettings) { s.facts = []string{"x"} },
		"facts of 20 KiB": func(s *policyServer, _ *signoff.PolicySettings) {
			s.facts = map[string]any{"requester": strings.Repeat("x", 20<<10)}
		},
		"two core modules": func(s *policyServer, _ *signoff.PolicySettings) {
			s.active = policytest.Wrap([]byte("\x00asm\x01\x00\x00\x00"), []byte("\x00asm\x01\x00\x00\x00"))
		},
		"too little memory": func(s *policyServer, _ *signoff.PolicySettings) {
			s.active = policytest.Policy{Decision: "allow", Pages: 33}.Component()
		},
		"other bytes": func(s *policyServer, _ *signoff.PolicySettings) {
			s.instead = func(route string, w http.ResponseWriter, _ *http.Request, _ []byte) bool {
				if route == "wasm" {
					_, _ = w.Write(policytest.Policy{Decision: "deny"}.Component())
				}
				return route == "wasm"
			}
		},
		"no bytes": func(s *policyServer, _ *signoff.PolicySettings) {
			s.instead = func(route string, w http.ResponseWriter, _ *http.Request, _ []byte) bool {
				if route == "wasm" {
					problem(w, 404, "not-found", "this policy is not active")
				}
				return route == "wasm"
			}
		},
		"another answer": func(s *policyServer, _ *signoff.PolicySettings) {
			s.instead = func(route string, w http.ResponseWriter, _ *http.Request, _ []byte) bool {
				if route == "policy" {
					respond(w, 200, map[string]any{"facts": nil, "audience": audience})
				}
				return route == "policy"
			}
		},
		"a refusal": func(s *policyServer, _ *signoff.PolicySettings) {
			s.instead = func(route string, w http.ResponseWriter, _ *http.Request, _ []byte) bool {
				if route == "policy" {
					problem(w, 403, "forbidden", "not for you")
				}
				return route == "policy"
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newPolicyServer(t, allows)
			p := s.policy(func(settings *signoff.PolicySettings) { change(s, settings) })
			decided(t, p, "allow", false)
			if status := p.Status(); status.Local || status.Reason == nil {
				t.Errorf("%+v", status)
			}
			if err := p.Close(context.Background()); err != nil || len(s.recorded()) != 0 {
				t.Error(s.recorded(), err)
			}
		})
	}
}

func TestTheServerIsAskedIfTheEvaluationFails(t *testing.T) {
	for name, failing := range map[string]policytest.Policy{
		"a trap":                  {Decision: "allow", Code: policytest.Trap},
		"a malformed verdict":     {Decision: "allow", Requirement: `{}`},
		"more memory than is due": {Decision: "allow", Code: policytest.GrowOrTrap},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPolicyServer(t, failing.Component()).policy()
			if !p.Status().Local {
				t.Error(p.Status().Reason)
			}
			if verdict := decided(t, p, "allow", false); verdict.Reason != "the server" {
				t.Errorf("%+v", verdict)
			}
		})
	}
}

func TestWithoutAnyVerdictThereIsAnError(t *testing.T) {
	s := newPolicyServer(t, policytest.Policy{Code: policytest.Trap}.Component())
	s.instead = func(route string, w http.ResponseWriter, _ *http.Request, _ []byte) bool {
		if route == "evaluate" {
			problem(w, 503, "policy-trapped", "it trapped")
		}
		return route == "evaluate"
	}
	_, err := s.policy().Evaluate(context.Background(), attempt())
	is(t, err, signoff.ErrUnavailable, "policy-trapped")
}

func TestAnActivationIsFollowedAtOnce(t *testing.T) {
	s := newPolicyServer(t, allows)
	p := s.policy()
	decided(t, p, "allow", true)
	denies := policytest.Policy{Decision: "deny"}.Component()
	s.change(func() { s.active = denies })
	until(p, func(status signoff.PolicyStatus) bool { return status.Digest == digestOf(denies) })
	decided(t, p, "deny", true)
	s.change(func() { s.active = nil })
	until(p, func(status signoff.PolicyStatus) bool { return status.Digest == "" })
	decided(t, p, "allow", false)
	s.change(func() { s.active = denies })
	until(p, func(status signoff.PolicyStatus) bool { return status.Digest == digestOf(denies) })
	decided(t, p, "deny", true)
}

func TestAReplacedPolicyDoesNotDecideWhileTheNextIsLoaded(t *testing.T) {
	s := newPolicyServer(t, allows)
	p := s.policy()
	asked, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	s.change(func() {
		s.active = policytest.Policy{Decision: "deny"}.Component()
		s.instead = func(route string, _ http.ResponseWriter, _ *http.Request, _ []byte) bool {
			if route == "wasm" {
				once.Do(func() { close(asked) })
				<-release
			}
			return false
		}
	})
	<-asked
	decided(t, p, "allow", false)
	close(release)
	until(p, func(status signoff.PolicyStatus) bool { return status.Local })
	decided(t, p, "deny", true)
}

func TestAStalePolicyDecidesNothing(t *testing.T) {
	s := newPolicyServer(t, allows)
	var hidden atomic.Bool
	s.instead = func(route string, w http.ResponseWriter, _ *http.Request, _ []byte) bool {
		if hidden.Load() && route != "evaluate" {
			panic(http.ErrAbortHandler)
		}
		return false
	}
	p := s.policy(func(settings *signoff.PolicySettings) { settings.MaxStale = time.Second })
	until(p, func(status signoff.PolicyStatus) bool { return status.Local })
	hidden.Store(true)
	confirmed := p.Status().Confirmed
	locals := 0
	for {
		before := time.Now()
		verdict, err := p.Evaluate(context.Background(), attempt())
		if err != nil {
			t.Fatal(err)
		}
		if !verdict.Local {
			break
		}
		locals++
		if last := p.Status().Confirmed; last.After(confirmed) {
			// A poll was on its way.
			confirmed = last
		}
		if age := before.Sub(confirmed); age > time.Second {
			t.Fatalf("a policy decided that was confirmed %s before", age)
		}
	}
	if locals == 0 || p.Status().Reason == nil {
		t.Errorf("%d local verdicts, %+v", locals, p.Status())
	}
	hidden.Store(false)
	until(p, func(status signoff.PolicyStatus) bool { return status.Local })
	decided(t, p, "allow", true)
}

func TestARefusalEndsLocalDecisions(t *testing.T) {
	s := newPolicyServer(t, allows)
	p := s.policy(func(settings *signoff.PolicySettings) { settings.MaxStale = 3 * time.Second })
	decided(t, p, "allow", true)
	s.change(func() {
		s.instead = func(route string, w http.ResponseWriter, _ *http.Request, _ []byte) bool {
			if route == "policy" {
				problem(w, 503, "policy-trapped", "its signer is revoked")
			}
			return route == "policy"
		}
	})
	until(p, func(status signoff.PolicyStatus) bool { return status.Reason != nil })
	refused := p.Status().Reason
	is(t, refused, signoff.ErrUnavailable, "policy-trapped")
	decided(t, p, "allow", false)
}

func TestReportsAreRepeatedUntilTheyAreAccepted(t *testing.T) {
	s := newPolicyServer(t, allows)
	var keys []string
	s.instead = func(route string, w http.ResponseWriter, r *http.Request, body []byte) bool {
		if route != "decisions" {
			return false
		}
		keys = append(keys, r.Header.Get("Idempotency-Key"))
		switch len(keys) {
		case 1:
			w.Header().Set("Retry-After", "0")
			problem(w, 503, "store-unavailable", "busy")
		case 2:
			// It was recorded, and the answer is lost.
			s.record(&nowhere{}, r, body)
			panic(http.ErrAbortHandler)
		case 3:
			respond(w, 200, map[string]any{"recorded": 0})
		default:
			return false
		}
		return true
	}
	p := s.policy()
	for range 3 {
		decided(t, p, "allow", true)
	}
	// The third answer ends a call, so that closing fails or the reporter repeats it.
	for p.Status().Pending > 0 {
		time.Sleep(pollPause)
	}
	if err := p.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	if len(s.recorded()) != 3 || len(keys) != 4 || keys[0] != keys[3] || keys[0] != keys[1] {
		t.Errorf("%d decisions, keys %v", len(s.recorded()), keys)
	}
}

// nowhere is where a lost answer goes.
type nowhere struct{ http.ResponseWriter }

func (*nowhere) Header() http.Header         { return http.Header{} }
func (*nowhere) WriteHeader(int)             {}
func (*nowhere) Write(b []byte) (int, error) { return len(b), nil }

func TestDecisionsOfAnEndedProcessAreReported(t *testing.T) {
	s := newPolicyServer(t, allows)
	folder := filepath.Join(t.TempDir(), "queue")
	same := func(settings *signoff.PolicySettings) { settings.Queue = folder }
	p := s.policy(same)
	decided(t, p, "allow", true)
	if err := p.Close(ending(t)); err == nil || p.Status().Pending != 1 {
		t.Error(err, p.Status())
	}
	next := s.policy(same)
	if err := next.Close(context.Background()); err != nil || len(s.recorded()) != 1 {
		t.Error(s.recorded(), err)
	}
}

func TestRefusedDecisionsArePutAsideAlone(t *testing.T) {
	s := newPolicyServer(t, allows)
	s.instead = func(route string, w http.ResponseWriter, _ *http.Request, body []byte) bool {
		if route == "decisions" && strings.Contains(string(body), `"other"`) {
			problem(w, 403, "forbidden", "this token does not act for the agent")
			return true
		}
		return false
	}
	folder := filepath.Join(t.TempDir(), "queue")
	var logged strings.Builder
	p := s.policy(func(settings *signoff.PolicySettings) { settings.Queue, settings.Log = folder, logTo(&logged) })
	for _, agent := range []string{"deployer", "other", "deployer"} {
		asked := attempt()
		asked.Agent = agent
		if verdict, err := p.Evaluate(context.Background(), asked); err != nil || !verdict.Local {
			t.Fatal(verdict, err)
		}
	}
	if err := p.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	if status := p.Status(); status.Refused != 1 || status.Pending != 0 || len(s.recorded()) != 2 {
		t.Errorf("%+v, %v", status, s.recorded())
	}
	aside, err := filepath.Glob(filepath.Join(folder, "*", "refused", "*"))
	if err != nil || len(aside) != 1 {
		t.Fatal(aside, err)
	}
	text, err := os.ReadFile(aside[0])
	if err != nil || strings.Count(string(text), "\n") != 1 || !strings.Contains(string(text), `"agent":"other"`) {
		t.Errorf("%s, %v", text, err)
	}
	if !strings.Contains(logged.String(), "refused decisions for good") {
		t.Error(logged.String())
	}
}

func TestATokenThatIsRefusedKeepsDecisions(t *testing.T) {
	s := newPolicyServer(t, allows)
	s.instead = func(route string, w http.ResponseWriter, _ *http.Request, _ []byte) bool {
		if route == "decisions" {
			problem(w, 401, "unauthenticated", "unknown token")
		}
		return route == "decisions"
	}
	p := s.policy()
	decided(t, p, "allow", true)
	is(t, p.Close(context.Background()), signoff.ErrForbidden, "unauthenticated")
	if status := p.Status(); status.Pending != 1 || status.Refused != 0 {
		t.Errorf("%+v", status)
	}
}

func TestADecisionThatCannotBeRecordedIsTheServers(t *testing.T) {
	s := newPolicyServer(t, allows)
	folder := filepath.Join(t.TempDir(), "queue")
	p := s.policy(func(settings *signoff.PolicySettings) { settings.Queue = folder })
	if err := os.RemoveAll(folder); err != nil {
		t.Fatal(err)
	}
	decided(t, p, "allow", false)
}

func TestWithoutAFolderDecisionsAreInMemory(t *testing.T) {
	s := newPolicyServer(t, allows)
	p := s.policy(func(settings *signoff.PolicySettings) { settings.Queue = "" })
	if verdict := decided(t, p, "allow", true); verdict.Recorded != signoff.RecordedInMemory {
		t.Error(verdict.Recorded)
	}
	if err := p.Close(context.Background()); err != nil || len(s.recorded()) != 1 {
		t.Error(s.recorded(), err)
	}
}

func TestConcurrentEvaluationsAreAllReported(t *testing.T) {
	s := newPolicyServer(t, allows)
	p := s.policy()
	denies := policytest.Policy{Decision: "deny"}.Component()
	var local atomic.Int64
	var group sync.WaitGroup
	for worker := range 4 {
		group.Go(func() {
			for number := range 100 {
				if worker == 0 && number == 50 {
					s.change(func() { s.active = denies })
				}
				verdict, err := p.Evaluate(context.Background(), attempt())
				if err != nil {
					t.Error(err)
				} else if verdict.Local {
					local.Add(1)
				}
			}
		})
	}
	group.Wait()
	if err := p.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	ids := map[any]bool{}
	for _, decision := range s.recorded() {
		ids[decision["id"]] = true
	}
	// A decision that was recorded may have been asked of the server afterwards, and never the reverse.
	if local.Load() == 0 || int64(len(ids)) < local.Load() {
		t.Errorf("%d local verdicts, %d decisions", local.Load(), len(ids))
	}
}

func TestPolicySettingsAreChecked(t *testing.T) {
	s := newPolicyServer(t, allows)
	client := newClient(t, s.url)
	shared := t.TempDir()
	if err := os.Chmod(shared, 0o755); err != nil {
		t.Fatal(err)
	}
	good := signoff.PolicySettings{Signers: s.signers(), Audience: audience}
	for name, change := range map[string]func(*signoff.PolicySettings){
		"no signers":     func(settings *signoff.PolicySettings) { settings.Signers = nil },
		"no audience":    func(settings *signoff.PolicySettings) { settings.Audience = "" },
		"too short":      func(settings *signoff.PolicySettings) { settings.MaxStale = time.Millisecond },
		"too long":       func(settings *signoff.PolicySettings) { settings.MaxStale = 2 * time.Hour },
		"an open folder": func(settings *signoff.PolicySettings) { settings.Queue = shared },
	} {
		settings := good
		change(&settings)
		_, err := client.Policy(context.Background(), settings)
		if known := is(t, err, signoff.ErrInvalid, "request-invalid"); known == nil {
			t.Error(name)
		}
	}
	_, err := client.Policy(ending(t), good)
	is(t, err, signoff.ErrTimedOut, "timed-out")
	if s.count("wasm") > 1 {
		t.Error("a policy was loaded for settings that are refused")
	}
}

func TestMalformedAttemptsAreRefusedHere(t *testing.T) {
	s := newPolicyServer(t, allows)
	p := s.policy()
	for name, change := range map[string]func(*signoff.Attempt){
		"no agent":       func(a *signoff.Attempt) { a.Agent = "" },
		"a long agent":   func(a *signoff.Attempt) { a.Agent = strings.Repeat("x", 129) },
		"a space":        func(a *signoff.Attempt) { a.Action = "a b" },
		"no context":     func(a *signoff.Attempt) { a.Context = nil },
		"a member twice": func(a *signoff.Attempt) { a.Context = `{"a":1,"a":2}` },
		"a plan as list": func(a *signoff.Attempt) { a.Plan = `[]` },
	} {
		asked := attempt()
		change(&asked)
		verdict, err := p.Evaluate(context.Background(), asked)
		if !errors.Is(err, signoff.ErrInvalid) {
			t.Errorf("%s: %+v, %v", name, verdict, err)
		}
	}
	if s.count("evaluate") != 0 || p.Status().Pending != 0 {
		t.Error("a malformed attempt was decided")
	}
}

func TestGuardAsksThePolicyFirst(t *testing.T) {
	s := newPolicyServer(t, allows)
	client := newClient(t, s.url)
	p := s.policyOf(client)
	action := deploy()
	action.Policy = p
	ran, runs, err := guarded(client, action)
	if err != nil || runs != 1 || ran.ContextText != deployed || ran.ApprovalID != "" || !ran.Verdict.Local || len(ran.Context) != 2 {
		t.Fatal(ran, runs, err)
	}
	denies := policytest.Policy{Decision: "deny", Rule: "never", Reason: "not today"}.Component()
	s.change(func() { s.active = denies })
	until(p, func(status signoff.PolicyStatus) bool { return status.Digest == digestOf(denies) })
	ran, _, err = guarded(client, action)
	if refused := is(t, err, signoff.ErrDenied, "policy-denied"); ran != nil || refused.Comment != "not today" {
		t.Error(ran, refused)
	}
	asks := policytest.Policy{Decision: "require_approval"}.Component()
	s.change(func() { s.active = asks })
	until(p, func(status signoff.PolicyStatus) bool { return status.Digest == digestOf(asks) })
	ran, _, err = guarded(client, action)
	// This server has no approvals; the request reached it.
	if is(t, err, signoff.ErrNotFound, "not-found"); ran != nil || s.count("approvals") != 1 {
		t.Error(ran, s.requests)
	}
	_, _, err = guarded(newClient(t, s.url), action)
	is(t, err, signoff.ErrInvalid, "request-invalid")
	if s.count("approvals") != 1 {
		t.Error("a policy of another client was used")
	}
}

func TestWithPinnedKeysOnlyALocalAllowRuns(t *testing.T) {
	s := newPolicyServer(t, allows)
	pinned := signoff.WithTrust(signoff.Trust{Audience: audience, Keys: newPerson("ann").keys})
	for name, is := range map[string]struct {
		broken  bool
		options []signoff.Option
		runs    int
	}{
		"pinned, local":            {false, []signoff.Option{pinned}, 1},
		"pinned, the server's":     {true, []signoff.Option{pinned}, 0},
		"not pinned, the server's": {true, nil, 1},
	} {
		client := newClient(t, s.url, append(is.options, signoff.WithToken("sgnt_secret"))...)
		action := deploy()
		action.Policy = s.policyOf(client, func(settings *signoff.PolicySettings) {
			if is.broken {
				// Nobody whom this executor trusts signed the policy: the server decides, and allows.
				settings.Signers = verifier.Keyring{{
					ID: "team", Algorithm: "ed25519", Material: newPerson("eve").keys[0].Material,
					Status: "active", Use: "module", Groups: []string{"policy"},
				}}
			}
		})
		before, asked := s.count("approvals"), s.count("evaluate")
		ran, runs, err := guarded(client, action)
		if runs != is.runs || (s.count("evaluate") != asked) != is.broken {
			t.Error(name, runs, err)
		}
		if is.runs == 1 {
			if err != nil || ran.Verdict == nil || ran.Verdict.Local == is.broken || s.count("approvals") != before {
				t.Error(name, ran, err)
			}
			continue
		}
		// This server has no approvals; the request reached it.
		if !errors.Is(err, signoff.ErrNotFound) || s.count("approvals") != before+1 {
			t.Error(name, err)
		}
	}
}
