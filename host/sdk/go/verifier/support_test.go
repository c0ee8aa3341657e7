package verifier_test

import (
	"errors"
	"os"
	"testing"
	"time"

	"signoff.dev/signoff/verifier"
)

const (
	sampleID      = "appr_01k7s2e3m8q4w6x9y0z1a2b3c4"
	sampleContext = `{"file": "config/production.yaml", "changes_count": 1500, "risk_score": 85}`
	samplePlan    = `{"steps":["read","write"]}`
)

// sampleNow is in the lifetime of the sample approval.
var sampleNow = time.Unix(1_760_698_001, 0)

func load(tb testing.TB) *verifier.Verifier {
	tb.Helper()
	v, err := verifier.New()
	if err != nil {
		tb.Fatal(err)
	}
	return v
}

func file(tb testing.TB, name string) string {
	tb.Helper()
	text, err := os.ReadFile("testdata/" + name)
	if err != nil {
		tb.Fatal(err)
	}
	return string(text)
}

// sample is an approval by two people, as a server shows it.
func sample(tb testing.TB) string { return file(tb, "approval.json") }

// sampleCheck passes for the sample.
func sampleCheck(tb testing.TB) verifier.ApprovalCheck {
	tb.Helper()
	keys, err := verifier.ReadKeyring("testdata/keyring.json")
	if err != nil {
		tb.Fatal(err)
	}
	return verifier.ApprovalCheck{
		ID: sampleID, Audience: "prod", Keys: keys, Now: sampleNow,
		Attempt: verifier.Attempt{Agent: "knowledge_update", Action: "apply", Context: sampleContext, Plan: samplePlan},
	}
}

// wants fails the test unless the error is a rejection with this code.
func wants(tb testing.TB, err error, code string) {
	tb.Helper()
	var rejection *verifier.Rejection
	if !errors.As(err, &rejection) || rejection.Code != code {
		tb.Errorf("expected `%s`, found %v", code, err)
	}
}
