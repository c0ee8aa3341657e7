package signoff_test

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"signoff.dev/signoff"
	"signoff.dev/signoff/internal/policytest"
	"signoff.dev/signoff/verifier"
)

// policyServer is a server with the routes of local policies.
type policyServer struct {
	t   testing.TB
	url string
	// signer is the seed of the key `team`.
	signer ed25519.PrivateKey

	mutex sync.Mutex
	// active is the component that is active, nil if none is.
	active []byte
	// manifest changes the manifest, sign its envelope.
	manifest func(map[string]any)
	// facts and audience are as in the answer.
	facts    any
	audience string
	changed  chan struct{}
	// decisions are those recorded, by their ids.
	decisions []map[string]any
	keys      map[string]bool
	// requests counts by route: `policy`, `wasm`, `evaluate`, `decisions`.
	requests map[string]int
	// instead answers in place of the server if it returns true.
	instead func(route string, w http.ResponseWriter, r *http.Request, body []byte) bool
}

func newPolicyServer(t testing.TB, active []byte) *policyServer {
	seed := sha256.Sum256([]byte("team"))
	s := &policyServer{
		t: t, signer: ed25519.NewKeyFromSeed(seed[:]), active: active, audience: audience, changed: make(chan struct{}),
		facts: map[string]any{"requester": "agent:deployer"}, keys: map[string]bool{}, requests: map[string]int{},
	}
	server := httptest.NewServer(http.HandlerFunc(s.serve))
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

// signers are the keys that an executor trusts.
func (s *policyServer) signers() verifier.Keyring {
	public := s.signer.Public().(ed25519.PublicKey)
	return verifier.Keyring{{
		ID: "team", Algorithm: "ed25519", Material: verifier.Material(base64.RawURLEncoding.EncodeToString(public)),
		Status: "active", Use: "module", Groups: []string{"policy"},
	}}
}

// policy is a local policy of this server, with a queue on disk.
func (s *policyServer) policy(change ...func(*signoff.PolicySettings)) *signoff.Policy {
	s.t.Helper()
	return s.policyOf(newClient(s.t, s.url, signoff.WithToken("sgnt_secret")), change...)
}

func (s *policyServer) policyOf(client *signoff.Client, change ...func(*signoff.PolicySettings)) *signoff.Policy {
	s.t.Helper()
	settings := signoff.PolicySettings{
		Signers: s.signers(), Audience: audience, Queue: filepath.Join(s.t.TempDir(), "queue"), Log: slog.New(slog.DiscardHandler),
	}
	for _, set := range change {
		set(&settings)
	}
	p, err := client.Policy(context.Background(), settings)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = p.Close(ending(s.t)) })
	return p
}

// ending is a context that is over: a policy closes without reporting.
func ending(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

// change changes the server, and lets held polls answer.
func (s *policyServer) change(change func()) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	change()
	close(s.changed)
	s.changed = make(chan struct{})
}

func digestOf(component []byte) string {
	digest := sha256.Sum256(component)
	return hex.EncodeToString(digest[:])
}

// answer is that of `GET /guardrails/policy`; the mutex is held.
func (s *policyServer) answer() (digest string, text string) {
	answer := map[string]any{"policy": nil, "facts": s.facts, "audience": s.audience, "at": "2026-01-01T00:00:00Z"}
	if s.active != nil {
		digest = digestOf(s.active)
		answer["policy"] = map[string]any{"digest": digest, "manifest": s.envelope(digest)}
	}
	return digest, encoded(answer)
}

func (s *policyServer) envelope(digest string) map[string]any {
	manifest := map[string]any{
		"format": 1, "digest": digest, "slot": "policy", "name": "test", "version": 1, "created": "2026-01-01T00:00:00Z",
		"limits": map[string]any{"memory_bytes": 2 << 20}, "facts": []string{"requester"},
	}
	if s.manifest != nil {
		s.manifest(manifest)
	}
	const kind = "application/vnd.signoff.module+json"
	payload := encoded(manifest)
	message := fmt.Sprintf("DSSEv1 %d %s %d %s", len(kind), kind, len(payload), payload)
	return map[string]any{
		"payloadType": kind, "payload": base64.StdEncoding.EncodeToString([]byte(payload)),
		"signatures": []map[string]any{{
			"keyid": "team", "sig": base64.StdEncoding.EncodeToString(ed25519.Sign(s.signer, []byte(message))),
		}},
	}
}

func (s *policyServer) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	route := r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]
	s.mutex.Lock()
	s.requests[route]++
	instead := s.instead
	s.mutex.Unlock()
	if instead != nil && instead(route, w, r, body) {
		return
	}
	switch route {
	case "policy":
		s.servePolicy(w, r)
	case "wasm":
		s.mutex.Lock()
		defer s.mutex.Unlock()
		w.Header().Set("Content-Type", "application/wasm")
		_, _ = w.Write(s.active)
	case "evaluate":
		respond(w, 200, map[string]any{"decision": "allow", "reason": "the server", "rule": nil, "policy": nil, "failed": []string{}})
	case "decisions":
		s.record(w, r, body)
	default:
		problem(w, 404, "not-found", "no such route")
	}
}

func (s *policyServer) servePolicy(w http.ResponseWriter, r *http.Request) {
	seconds, _ := strconv.Atoi(r.URL.Query().Get("wait"))
	unwanted := r.URL.Query().Get("while")
	deadline := time.After(time.Duration(seconds) * time.Second)
	for {
		s.mutex.Lock()
		digest, text := s.answer()
		changed := s.changed
		s.mutex.Unlock()
		if digest == "" {
			digest = "none"
		}
		if unwanted == "" || digest != unwanted {
			fmt.Fprintln(w, text)
			return
		}
		select {
		case <-changed:
		case <-r.Context().Done():
			return
		case <-deadline:
			fmt.Fprintln(w, text)
			return
		}
	}
}

// record records a batch once, however often it is sent.
func (s *policyServer) record(w http.ResponseWriter, r *http.Request, body []byte) {
	var sent struct{ Decisions []map[string]any }
	if err := json.Unmarshal(body, &sent); err != nil {
		problem(w, 422, "request-invalid", err.Error())
		return
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if key := r.Header.Get("Idempotency-Key"); !s.keys[key] {
		s.keys[key] = true
		s.decisions = append(s.decisions, sent.Decisions...)
	}
	respond(w, 200, map[string]any{"recorded": len(sent.Decisions)})
}

func (s *policyServer) recorded() []map[string]any {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.decisions
}

func (s *policyServer) count(route string) int {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.requests[route]
}

// until waits until a condition holds: after a change of the policy, or because time passed.
func until(p *signoff.Policy, holds func(signoff.PolicyStatus) bool) {
	for {
		changed := p.Changed()
		if holds(p.Status()) {
			return
		}
		select {
		case <-changed:
		case <-time.After(pollPause):
		}
	}
}

func attempt() signoff.Attempt {
	return signoff.Attempt{Agent: "Deployer", Action: "deploy", Context: `{"replicas": 3}`, Plan: `{"steps":[]}`}
}

var allows = policytest.Policy{Decision: "allow", Rule: "small", Reason: "few"}.Component()

func logTo(w io.Writer) *slog.Logger { return slog.New(slog.NewTextHandler(w, nil)) }
