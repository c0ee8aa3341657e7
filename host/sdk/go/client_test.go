package signoff_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"signoff.dev/signoff"
	"signoff.dev/signoff/verifier"
)

const someID = "appr_01k7s2e3m8q4w6x9y0z1a2b3c4"

// someApproval has every member that an approval must have.
const someApproval = `{"id":"` + someID + `","status":"pending","audience":"x","agent":"a","action":"b","context_hash":"c",` +
	`"request_digest":"d","requested_by":"e","verifier":"f","requested_at":"2026-01-01T00:00:00Z","expires_at":"2026-01-01T01:00:00Z"}`

// answering makes a client of a server that does this.
func answering(t *testing.T, handle http.HandlerFunc, options ...signoff.Option) *signoff.Client {
	t.Helper()
	server := httptest.NewServer(handle)
	t.Cleanup(server.Close)
	return newClient(t, server.URL, append([]signoff.Option{signoff.WithToken("sgnt_secret")}, options...)...)
}

// is fails the test unless the error is of this kind and code.
func is(t *testing.T, err error, kind signoff.Kind, code string) *signoff.Error {
	t.Helper()
	var known *signoff.Error
	if !errors.As(err, &known) || known.Kind() != kind || known.Code != code {
		t.Fatalf("expected %s with `%s`, found %v", kind, code, err)
	}
	return known
}

func TestAnIdempotencyKeyIsKeptOverRetries(t *testing.T) {
	var keys []string
	client := answering(t, func(w http.ResponseWriter, r *http.Request) {
		keys = append(keys, r.Header.Get("Idempotency-Key"))
		switch len(keys) {
		case 1:
			w.Header().Set("Retry-After", "0")
			problem(w, 503, "store-unavailable", "busy")
		case 2:
			w.Header().Set("Retry-After", "0")
			problem(w, 429, "rate-limited", "busy")
		case 3:
			hijacked, _, err := w.(http.Hijacker).Hijack()
			if err == nil {
				hijacked.Close()
			}
		case 4:
			w.Header().Set("Content-Length", "1000")
			fmt.Fprint(w, "{")
		default:
			w.WriteHeader(201)
			fmt.Fprint(w, someApproval)
		}
	})
	ctx := context.Background()
	if _, err := client.Request(ctx, signoff.Request{Agent: "a", Action: "b", Context: "{}"}); err != nil {
		t.Fatal(err)
	}
	if len(keys) < 5 || keys[0] == "" {
		t.Fatal(keys)
	}
	for _, key := range keys {
		if key != keys[0] {
			t.Errorf("the keys %q", keys)
		}
	}
	if _, err := client.Request(ctx, signoff.Request{Agent: "a", Action: "b", Context: "{}"}); err != nil || keys[len(keys)-1] == keys[0] {
		t.Error("two calls had one key", err)
	}
	own := signoff.Request{Agent: "a", Action: "b", Context: "{}", IdempotencyKey: "mine"}
	if _, err := client.Request(ctx, own); err != nil || keys[len(keys)-1] != "mine" {
		t.Error("the caller's key was replaced", err)
	}
	own.IdempotencyKey = "a b"
	_, err := client.Request(ctx, own)
	is(t, err, signoff.ErrInvalid, "request-invalid")
}

func TestOnlyWhatMayPassIsRetried(t *testing.T) {
	for name, test := range map[string]struct {
		status     int
		retryAfter string
		body       string
		kind       signoff.Kind
		code       string
	}{
		"a refusal":                 {403, "0", `{"code":"forbidden","detail":"no"}`, signoff.ErrForbidden, "forbidden"},
		"busy without a time":       {503, "", `{"code":"store-unavailable"}`, signoff.ErrUnavailable, "store-unavailable"},
		"a failure":                 {500, "0", `{"code":"internal-error"}`, signoff.ErrUnavailable, "internal-error"},
		"busy for too long":         {503, "3600", `{"code":"store-unavailable"}`, signoff.ErrUnavailable, "store-unavailable"},
		"a code of a later time":    {409, "", `{"code":"brand-new"}`, signoff.ErrSignoff, "brand-new"},
		"no reason":                 {502, "", `<html>`, signoff.ErrUnavailable, "unreachable"},
		"a code that is no code":    {403, "", `{"code":"No\u001b[31m"}`, signoff.ErrUnavailable, "unreachable"},
		"nothing":                   {204, "", ``, signoff.ErrUnavailable, "unreachable"},
		"an empty answer":           {200, "", ``, signoff.ErrUnavailable, "unreachable"},
		"a list":                    {200, "", `[]`, signoff.ErrUnavailable, "unreachable"},
		"two objects":               {200, "", `{}{}`, signoff.ErrUnavailable, "unreachable"},
		"an object of another kind": {200, "", `{"ok":true}`, signoff.ErrUnavailable, "unreachable"},
		"a number for a text":       {200, "", `{"id":7}`, signoff.ErrUnavailable, "unreachable"},
		"bytes":                     {200, "", "{\"id\":\"\xff\"}", signoff.ErrUnavailable, "unreachable"},
		"no status":                 {200, "", strings.Replace(someApproval, "pending", "", 1), signoff.ErrUnavailable, "unreachable"},
		"no expiry":                 {200, "", strings.Replace(someApproval, "expires_at", "x", 1), signoff.ErrUnavailable, "unreachable"},
		"another approval": {
			200, "", strings.Replace(someApproval, "c4", "c5", 1), signoff.ErrUnverified, "untrusted-answer",
		},
	} {
		t.Run(name, func(t *testing.T) {
			calls := 0
			client := answering(t, func(w http.ResponseWriter, _ *http.Request) {
				calls++
				w.Header().Set("X-Request-Id", "req-1")
				if test.retryAfter != "" {
					w.Header().Set("Retry-After", test.retryAfter)
				}
				w.WriteHeader(test.status)
				fmt.Fprint(w, test.body)
			})
			_, err := client.Get(context.Background(), someID)
			known := is(t, err, test.kind, test.code)
			if calls != 1 {
				t.Errorf("%d calls", calls)
			}
			if known.Code != "untrusted-answer" && (known.Status != test.status && test.status != 200 || known.ApprovalID != someID) {
				t.Errorf("%+v", known)
			}
		})
	}
}

func TestNoServer(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	url := server.URL
	server.Close()
	_, err := newClient(t, url, signoff.WithTimeout(300*time.Millisecond)).Get(context.Background(), someID)
	if known := is(t, err, signoff.ErrUnavailable, "unreachable"); known.Status != 0 {
		t.Error(known.Status)
	}
}

func TestSlowServer(t *testing.T) {
	ended := make(chan struct{})
	slow := func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-ended:
		}
	}
	t.Cleanup(func() { close(ended) })
	_, err := answering(t, slow, signoff.WithTimeout(50*time.Millisecond)).Get(context.Background(), someID)
	is(t, err, signoff.ErrUnavailable, "unreachable")
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	_, err = answering(t, slow).Get(ctx, someID)
	is(t, err, signoff.ErrTimedOut, "timed-out")
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	ctx, cancel = context.WithCancel(context.Background())
	cancel()
	_, err = answering(t, slow).Get(ctx, someID)
	is(t, err, signoff.ErrTimedOut, "timed-out")
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestLargeAnswersAreRefused(t *testing.T) {
	var sent atomic.Int64
	client := answering(t, func(w http.ResponseWriter, _ *http.Request) {
		// Without the spaces it would be accepted.
		fmt.Fprint(w, someApproval)
		for range 40 {
			count, err := fmt.Fprint(w, strings.Repeat(" ", 1<<20))
			sent.Add(int64(count))
			if err != nil {
				return
			}
		}
	})
	_, err := client.Get(context.Background(), someID)
	is(t, err, signoff.ErrUnavailable, "unreachable")
	if sent.Load() >= 40<<20 {
		t.Error("all of it was read")
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	var reached atomic.Bool
	thief := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Store(true) }))
	t.Cleanup(thief.Close)
	for _, status := range []int{301, 302, 307, 308} {
		client := answering(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, thief.URL, status) })
		_, err := client.Get(context.Background(), someID)
		is(t, err, signoff.ErrUnavailable, "unreachable")
	}
	if reached.Load() {
		t.Error("a redirect was followed")
	}
}

func TestTheTokenIsSentAndNeverPrinted(t *testing.T) {
	var sent string
	client := answering(t, func(w http.ResponseWriter, r *http.Request) {
		sent = r.Header.Get("Authorization")
		fmt.Fprint(w, someApproval)
	})
	if _, err := client.Get(context.Background(), someID); err != nil || sent != "Bearer sgnt_secret" {
		t.Error(sent, err)
	}
	keys := verifier.Keyring{{ID: "a", Material: "secret"}}
	client = newClient(t, "http://127.0.0.1:1", signoff.WithToken("secret"), signoff.WithTrust(signoff.Trust{Keys: keys}))
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%d"} {
		if text := fmt.Sprintf(verb, client) + fmt.Sprintf(verb, *client); strings.Contains(text, "secret") {
			t.Errorf("%s prints %s", verb, text)
		}
	}
	isolate(t)
	for _, token := range []string{"sgnt_secret\r\nx: y", "sgnt secret", "sgnt_sécret"} {
		_, err := signoff.NewClient("http://127.0.0.1:1", signoff.WithToken(token))
		if known := is(t, err, signoff.ErrInvalid, "request-invalid"); strings.Contains(known.Error(), "sgnt") {
			t.Error(known)
		}
	}
}

func TestErrorsEscapeWhatServersSay(t *testing.T) {
	client := answering(t, func(w http.ResponseWriter, _ *http.Request) {
		problem(w, 403, "forbidden", "\x1b[2Jdone\r\u202eabc"+strings.Repeat("x", 5000))
	})
	_, err := client.Get(context.Background(), someID)
	text := err.Error()
	if strings.ContainsAny(text, "\x1b\r\u202e") || len(text) > 1200 || !strings.Contains(text, `\u{1b}[2Jdone\u{d}\u{202e}abc`) {
		t.Errorf("%q", text)
	}
	if known := is(t, err, signoff.ErrForbidden, "forbidden"); known.RequestID != "test-request" || known.Title != "Title" {
		t.Errorf("%+v", known)
	}
}

func TestMembersOfAMismatchAreKept(t *testing.T) {
	client := answering(t, func(w http.ResponseWriter, _ *http.Request) {
		respond(w, 403, map[string]any{"code": "context-mismatch", "detail": "differs", "members": []string{"/replicas"}})
	})
	_, err := client.Claim(context.Background(), someID, signoff.Claim{Agent: "a", Action: "b", Context: "{}"})
	if known := is(t, err, signoff.ErrMismatch, "context-mismatch"); len(known.Members) != 1 || known.Members[0] != "/replicas" {
		t.Errorf("%+v", known)
	}
}

func TestMalformedArgumentsAreNotSent(t *testing.T) {
	client := answering(t, func(_ http.ResponseWriter, r *http.Request) { t.Errorf("%s was sent", r.URL) })
	ctx := context.Background()
	for _, id := range []string{"", "..", "appr_", "appr_01k7s2e3m8q4w6x9y0z1a2b3c4/../x", strings.ToUpper(someID)} {
		_, err := client.Get(ctx, id)
		is(t, err, signoff.ErrNotFound, "not-found")
		_, err = client.Withdraw(ctx, id)
		is(t, err, signoff.ErrNotFound, "not-found")
	}
	for _, text := range []string{"", `{}, "reason": "x"`, `{}}`, "{\"a\":\"\xff\"}"} {
		_, err := client.Request(ctx, signoff.Request{Agent: "a", Action: "b", Context: text})
		is(t, err, signoff.ErrInvalid, "context-invalid")
		_, err = client.Request(ctx, signoff.Request{Agent: "a", Action: "b", Context: "{}", Plan: signoff.RawJSON(text)})
		is(t, err, signoff.ErrInvalid, "context-invalid")
	}
	_, err := client.Request(ctx, signoff.Request{Agent: "a\xff", Action: "b", Context: "{}"})
	is(t, err, signoff.ErrInvalid, "request-invalid")
	_, err = client.Request(ctx, signoff.Request{Agent: "a", Action: "b", Context: "{}", ExpiresIn: time.Millisecond})
	is(t, err, signoff.ErrInvalid, "request-invalid")
	_, err = client.Verify(ctx, someID, signoff.Check{Plan: "{}"})
	is(t, err, signoff.ErrInvalid, "request-invalid")
}

func TestListFollowsCursorsAndEnds(t *testing.T) {
	pages := map[string]string{"": "one", "one": "two", "two": ""}
	client := answering(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("status") != "pending" || r.URL.Query().Get("limit") != "1" {
			t.Error(r.URL)
		}
		fmt.Fprintf(w, `{"items":[%s],"next_cursor":"%s"}`, someApproval, pages[r.URL.Query().Get("cursor")])
	})
	count := 0
	for approval, err := range client.List(context.Background(), signoff.Filter{Status: signoff.Pending, Page: 1}) {
		if err != nil || approval.ID != someID || approval.Text != someApproval {
			t.Fatal(approval, err)
		}
		count++
	}
	if count != 3 {
		t.Errorf("%d approvals", count)
	}
	endless := answering(t, func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"items":[%s],"next_cursor":"same"}`, someApproval)
	})
	var last error
	for _, err := range endless.List(context.Background(), signoff.Filter{}) {
		last = err
	}
	is(t, last, signoff.ErrUnavailable, "unreachable")
}

func TestEventsReconnectWhereTheyWere(t *testing.T) {
	var after []string
	client := answering(t, func(w http.ResponseWriter, r *http.Request) {
		after = append(after, r.Header.Get("Last-Event-ID"))
		switch len(after) {
		case 1:
			fmt.Fprint(w, ":heartbeat\n\nid: 5\nevent: requested\ndata: {\"a\":\ndata: 1}\n\nid: 6\ndata: cut")
		case 2:
			w.Header().Set("Retry-After", "0")
			problem(w, 429, "rate-limited", "many")
		default:
			fmt.Fprint(w, "event: reset\r\nid: 1\r\ndata: {}\r\n\r\n")
		}
	})
	var found []signoff.Event
	for event, err := range client.Events(context.Background(), "4") {
		if err != nil {
			t.Fatal(err)
		}
		if found = append(found, event); len(found) == 2 {
			break
		}
	}
	expected := []signoff.Event{{ID: "5", Kind: "requested", Data: "{\"a\":\n1}"}, {ID: "1", Kind: "reset", Data: "{}"}}
	if len(found) != 2 || found[0] != expected[0] || found[1] != expected[1] {
		t.Errorf("%q", found)
	}
	if strings.Join(after, " ") != "4 5 5" {
		t.Error(after)
	}
}

func TestEventsEndWithOneError(t *testing.T) {
	one := func(client *signoff.Client, ctx context.Context, after string) (last error) {
		for _, err := range client.Events(ctx, after) {
			if last != nil {
				t.Error("it went on")
			}
			last = err
		}
		return last
	}
	forbidden := answering(t, func(w http.ResponseWriter, _ *http.Request) { problem(w, 403, "forbidden", "") })
	is(t, one(forbidden, context.Background(), ""), signoff.ErrForbidden, "forbidden")
	is(t, one(forbidden, context.Background(), "1\r\nx: y"), signoff.ErrInvalid, "request-invalid")
	huge := answering(t, func(w http.ResponseWriter, _ *http.Request) {
		for range 8 {
			fmt.Fprint(w, strings.Repeat("x", 1<<20))
		}
	})
	is(t, one(huge, context.Background(), ""), signoff.ErrUnavailable, "unreachable")
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	silent := answering(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	is(t, one(silent, ctx, ""), signoff.ErrTimedOut, "timed-out")
}

func TestWaitPollsUntilDecided(t *testing.T) {
	calls := 0
	client := answering(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.RawQuery != "wait=50&while=pending" {
			t.Error(r.URL)
		}
		if calls++; calls < 3 {
			fmt.Fprint(w, someApproval)
			return
		}
		fmt.Fprint(w, strings.Replace(someApproval, "pending", "withdrawn", 1))
	})
	approval, err := client.Wait(context.Background(), someID)
	if err != nil || approval.Status != signoff.Withdrawn || calls != 3 {
		t.Error(approval, err, calls)
	}
}

func TestEvaluateAcceptsOnlyVerdicts(t *testing.T) {
	decision := "deny"
	client := answering(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintf(w, `{"decision":"%s","new":1}`, decision) })
	evaluation, err := client.Evaluate(context.Background(), signoff.Attempt{Agent: "a", Action: "b", Context: "{}"})
	if err != nil || evaluation.Decision != "deny" || !strings.Contains(evaluation.Text, `"new":1`) {
		t.Error(evaluation, err)
	}
	for _, decision = range []string{"", "allowed", "ALLOW"} {
		_, err = client.Evaluate(context.Background(), signoff.Attempt{Agent: "a", Action: "b", Context: "{}"})
		is(t, err, signoff.ErrUnavailable, "unreachable")
	}
}
