package verifier_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"signoff.dev/signoff/internal/fault"
	"signoff.dev/signoff/verifier"
)

func TestDigestOfModule(t *testing.T) {
	component, err := os.ReadFile("verifier.wasm")
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256(component)
	if verifier.DigestOfModule() != hex.EncodeToString(digest[:]) {
		t.Error(verifier.DigestOfModule())
	}
}

func TestAnApprovalIsVerifiedIntoAProof(t *testing.T) {
	check := sampleCheck(t)
	check.RequestedAfter = sampleNow.Add(-1001 * time.Second)
	check.Floor = &verifier.Floor{Threshold: 2, Groups: map[string]int{"sre": 1}, TTLSeconds: 3600}
	check.Policies = []string{"0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0"}
	proof, err := load(t).VerifyApproval(sample(t), check)
	if err != nil {
		t.Fatal(err)
	}
	if proof.ApprovalID != sampleID || proof.RequestedBy != "agent:knowledge_update" || *proof.Rule != "production" ||
		*proof.Plan != `{"steps": ["read", "write"]}` || proof.Requirement.Threshold != 2 ||
		proof.ExpiresAt.Format(time.RFC3339) != "2025-10-17T11:30:00Z" {
		t.Errorf("%+v", proof)
	}
	if len(proof.Approvers) != 2 || proof.Approvers[1].Approver != "carol@company.com" || proof.Approvers[1].Profile != "v2" {
		t.Errorf("%+v", proof.Approvers)
	}
}

func TestEachArgumentIsHeldAgainstTheApproval(t *testing.T) {
	for code, change := range map[string]func(*verifier.ApprovalCheck){
		"not-found":            func(c *verifier.ApprovalCheck) { c.ID = "appr_01k7s2e3m8q4w6x9y0z1a2b3c5" },
		"audience-mismatch":    func(c *verifier.ApprovalCheck) { c.Audience = "staging" },
		"key-unknown":          func(c *verifier.ApprovalCheck) { c.Keys = verifier.Keyring{} },
		"key-revoked":          func(c *verifier.ApprovalCheck) { c.Keys[0].Status = "revoked" },
		"context-mismatch":     func(c *verifier.ApprovalCheck) { c.Attempt.Context = "{}" },
		"context-invalid":      func(c *verifier.ApprovalCheck) { c.Attempt.Context = "" },
		"plan-mismatch":        func(c *verifier.ApprovalCheck) { c.Attempt.Plan = "" },
		"agent-mismatch":       func(c *verifier.ApprovalCheck) { c.Attempt.Agent = "other" },
		"action-mismatch":      func(c *verifier.ApprovalCheck) { c.Attempt.Action = "other" },
		"requirement-too-weak": func(c *verifier.ApprovalCheck) { c.Floor = &verifier.Floor{Threshold: 3} },
		"policy-mismatch":      func(c *verifier.ApprovalCheck) { c.Policies = []string{strings.Repeat("0", 64)} },
		"request-too-old":      func(c *verifier.ApprovalCheck) { c.RequestedAfter = sampleNow },
		"signature-malformed":  func(c *verifier.ApprovalCheck) { c.Accept = []string{"v1"} },
		"expired":              func(c *verifier.ApprovalCheck) { c.Now = sampleNow.Add(time.Hour) },
		"request-invalid":      func(c *verifier.ApprovalCheck) { c.Now = time.Unix(1_000_000_000, 0) },
	} {
		check := sampleCheck(t)
		change(&check)
		_, err := load(t).VerifyApproval(sample(t), check)
		wants(t, err, code)
	}
	for name, text := range map[string]string{
		"nothing": "", "not JSON": "{", "two members": strings.Replace(sample(t), "{", `{"status":"approved",`, 1), "bytes": "{\xff}",
	} {
		_, err := load(t).VerifyApproval(text, sampleCheck(t))
		t.Run(name, func(t *testing.T) { wants(t, err, "request-invalid") })
	}
}

func TestStatementsAreSignedAndVerified(t *testing.T) {
	statement, key, signature, _ := signedV1(t)
	v := load(t)
	id, err := v.Verify(statement, signature, verifier.Keyring{key}, []string{"v1"})
	if err != nil || id != "hmac" {
		t.Error(id, err)
	}
	message, err := v.Payload(statement, "v1")
	expected := "appr_01k7s2e3m8q4w6x9y0z1a2b3c4:approved:alice@company.com:2025-10-17T11:30:00+00:00"
	if err != nil || message.Text == nil || *message.Text != expected {
		t.Error(message, err)
	}
	_, err = v.Verify(statement, signature, verifier.Keyring{key}, nil)
	wants(t, err, "request-invalid")
	complete := statement
	complete.Audience, complete.KeyID, complete.RequestDigest = "prod", "hmac", strings.Repeat("0", 64)
	_, err = v.Verify(complete, signature, verifier.Keyring{key}, []string{"v2"})
	wants(t, err, "signature-malformed")
	statement.Decision = "rejected"
	_, err = v.Verify(statement, signature, verifier.Keyring{key}, []string{"v1"})
	wants(t, err, "signature-invalid")
	statement.Approver = "a:b"
	_, err = v.Payload(statement, "v1")
	wants(t, err, "statement-ambiguous")
	statement.Comment = "\xff"
	_, err = v.Payload(statement, "v2")
	wants(t, err, "request-invalid")
}

func TestContexts(t *testing.T) {
	v := load(t)
	for _, context := range []any{
		`{"b": 1.0, "a": "x"}`, verifier.RawJSON(`{"a":"x","b":1.0}`),
		map[string]any{"b": json.Number("1.0"), "a": "x"},
		struct {
			A string          `json:"a"`
			B json.RawMessage `json:"b"`
		}{"x", json.RawMessage("1.0")},
	} {
		canonical, digest, err := v.Read(context)
		if err != nil || canonical != `{"a": "x", "b": 1.0}` {
			t.Errorf("%T: %s, %v", context, canonical, err)
		}
		sum := sha256.Sum256([]byte(canonical))
		if other, err := v.Digest(context); err != nil || other != digest || digest != hex.EncodeToString(sum[:]) {
			t.Error(other, digest, err)
		}
	}
	for _, context := range []any{nil, 7, []any{}, "", "[]", `{"a":1,"a":2}`, `{"a":NaN}`, "{\"a\":\"\\ud800\"}", verifier.RawJSON(nil)} {
		_, err := v.Digest(context)
		wants(t, err, "context-invalid")
	}
	_, err := v.Digest(map[string]string{"a": strings.Repeat("x", verifier.ContextBytesMax)})
	wants(t, err, "context-invalid")
}

func TestCallTextAnswersWhatTheModuleMustNotSee(t *testing.T) {
	v := load(t)
	for request, expected := range map[string]string{
		strings.Repeat(" ", verifier.RequestBytesMax+1): `{"error":{"code":"limit-exceeded","message":"request is 16777217 bytes, the limit is 16777216"}}`,
		"{\"op\":\"\xed\xa0\x80\"}":                     `{"error":{"code":"request-invalid","message":"request is not UTF-8 at byte 7"}}`,
		"\xff":                                          `{"error":{"code":"request-invalid","message":"request is not UTF-8 at byte 0"}}`,
		"\xe2\x82":                                      `{"error":{"code":"request-invalid","message":"request is not UTF-8 at byte 0"}}`,
	} {
		if answer, err := v.CallText(request); err != nil || answer != expected {
			t.Errorf("expected %s, found %s, %v", expected, answer, err)
		}
	}
	if answer, err := v.CallText("\ufffd"); err != nil || !strings.Contains(answer, "request-invalid") || strings.Contains(answer, "UTF-8") {
		t.Error(answer, err)
	}
	_, err := v.Call("no.such", map[string]any{})
	wants(t, err, "request-invalid")
	_, err = v.Call("context.digest", map[string]any{"context": "{}", "more": 1})
	wants(t, err, "request-invalid")
	_, err = v.Call("context.digest", map[string]any{"context": make(chan int)})
	wants(t, err, "request-invalid")
}

func TestManyGoroutinesAndATrap(t *testing.T) {
	calls := 10_000
	if testing.Short() {
		calls = 500
	}
	v := load(t)
	check, shown := sampleCheck(t), sample(t)
	statement, key, signature, _ := signedV1(t)
	keys := verifier.Keyring{key}
	var group sync.WaitGroup
	for worker := range 8 {
		group.Go(func() {
			for number := range calls {
				var err error
				switch {
				case worker == 3 && number == calls/2:
					if err := fault.Trap(v); !errors.Is(err, verifier.ErrTrapped) {
						t.Error("no trap:", err)
					}
				case number%50 == 0:
					_, err = v.VerifyApproval(shown, check)
				case number%2 == 0:
					_, err = v.Verify(statement, signature, keys, []string{"v1"})
				default:
					text := fmt.Sprintf(`{"worker": %d, "number": %d}`, worker, number)
					var canonical string
					canonical, err = v.Canonicalize(text)
					if expected := fmt.Sprintf(`{"number": %d, "worker": %d}`, number, worker); canonical != expected {
						t.Errorf("expected %s, found %s", expected, canonical)
					}
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
}

func TestKeyrings(t *testing.T) {
	for name, text := range map[string]string{
		"one":   `{"id":"a","algorithm":"ed25519","material":"x","status":"active","use":"approve","approver":"ann","groups":["g"]}`,
		"list":  `[{"id":"a","algorithm":"ed25519","material":"x","status":"active","use":"approve","approver":"ann","groups":["g"]}]`,
		"keys":  `{"keys":[{"id":"a","algorithm":"ed25519","material":"x","private":null,"status":"active","use":"approve","approver":"ann","groups":["g"]}]}`,
		"items": `{"items":[{"id":"h","algorithm":"hmac-sha256","status":"active","use":"approve","groups":[]},{"id":"l","algorithm":"ed25519","public_key":"z","status":"active","use":"log","groups":[]},{"id":"a","algorithm":"ed25519","public_key":"x","private":true,"status":"active","use":"approve","approver":"ann","groups":["g"]}],"keyring":"k"}`,
	} {
		keys, err := verifier.ParseKeyring([]byte(text))
		if err != nil || len(keys) != 1 || keys[0].ID != "a" || keys[0].Material != "x" || keys[0].Approver != "ann" || keys[0].Groups[0] != "g" {
			t.Errorf("%s: %+v, %v", name, keys, err)
		}
	}
	private := `{"id":"p","algorithm":"ed25519","material":"x","private":"hunter2","status":"active","use":"log"}`
	for _, text := range []string{private, "[" + private + "]", `{"keys":[` + private + `]}`, `{"items":[` + private + `]}`} {
		for _, parse := range []func([]byte) (verifier.Keyring, error){verifier.ParseKeyring, verifier.ParseSigners} {
			_, err := parse([]byte(text))
			if err == nil || !strings.Contains(err.Error(), "contain a private key") || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%s: %v", text, err)
			}
		}
	}
	// Two files put together.
	line := `{"id":"%s","algorithm":"ed25519","material":"x","status":"active","use":"approve","approver":"ann","groups":[]}`
	lines := strings.Replace(line, "%s", "a", 1) + "\n\n" + strings.Replace(line, "%s", "b", 1) + "\n"
	if keys, err := verifier.ParseKeyring([]byte(lines)); err != nil || len(keys) != 2 || keys[1].ID != "b" {
		t.Errorf("lines: %+v, %v", keys, err)
	}
	for name, text := range map[string]string{
		"a line of another kind": strings.Replace(line, "%s", "a", 1) + "\nhunter2\n",
		"empty":                  "", "null": "null", "no key": "[]", "no keys": `{"keys":[]}`, "text": `"hunter2"`, "no id": `{"material":"hunter2"}`,
		"both lists": `{"keys":[],"items":[]}`, "wrong kind": `[{"id":["hunter2"]}]`,
		"only a log key": `[{"id":"l","algorithm":"ed25519","material":"hunter2","status":"active","use":"log"}]`,
		"one id twice":   `[{"id":"a","algorithm":"ed25519","material":"x","status":"active","use":"approve"},{"id":"a","algorithm":"ed25519","material":"hunter2","status":"active","use":"approve"}]`,
		"two materials":  `{"id":"a","algorithm":"ed25519","material":"hunter2","public_key":"y","status":"active","use":"approve"}`,
	} {
		if keys, err := verifier.ParseKeyring([]byte(text)); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %+v, %v", name, keys, err)
		}
	}
	for _, path := range []string{"testdata/missing.json", "testdata", "/dev/zero"} {
		if _, err := verifier.ReadKeyring(path); err == nil {
			t.Errorf("%s is taken", path)
		}
	}
}

func TestMaterialIsNeverPrinted(t *testing.T) {
	key := verifier.Key{ID: "a", Material: "hunter2"}
	keys := verifier.Keyring{key}
	text, err := json.Marshal(keys)
	if err != nil {
		t.Fatal(err)
	}
	printed := string(text)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		printed += fmt.Sprintf(verb, key) + fmt.Sprintf(verb, keys) + fmt.Sprintf(verb, &key) + fmt.Sprintf(verb, key.Material)
	}
	if strings.Contains(printed, "hunter2") || strings.Contains(printed, hex.EncodeToString([]byte("hunter2"))) {
		t.Error(printed)
	}
}
