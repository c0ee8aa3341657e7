package policy_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"signoff.dev/signoff/internal/policy"
	"signoff.dev/signoff/internal/policytest"
	"signoff.dev/signoff/verifier"
)

const memoryBytes = 2 << 20

func compiled(t *testing.T, component []byte, timeMax time.Duration) *policy.Module {
	t.Helper()
	module, err := policy.Compile(component, memoryBytes, timeMax, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(module.Close)
	return module
}

func attempt() policy.Attempt {
	plan := `{"steps": []}`
	return policy.Attempt{
		Agent: "deployer", Action: "deploy", Context: `{"name": "Zoë"}`, Plan: &plan,
		Facts: `{"requester": "agent:deployer"}`, Now: 1_760_700_600,
	}
}

func evaluate(t *testing.T, p policytest.Policy) (*policy.Verdict, error) {
	t.Helper()
	return compiled(t, p.Component(), policy.TimeMax).Evaluate(context.Background(), attempt())
}

func TestVerdictsAreRead(t *testing.T) {
	verdict, err := evaluate(t, policytest.Policy{
		Decision: "require_approval", Rule: "money", Reason: "a\tb\nZoë", Failed: []string{"one", "other"},
		Requirement: `{"threshold": 2, "groups": {"sre": 1}, "ttl_seconds": 900}`,
	})
	if err != nil {
		t.Fatal(err)
	}
	expected := verifier.Requirement{TTLSeconds: 900, Threshold: 2, Groups: map[string]int{"sre": 1}}
	if verdict.Decision != "require_approval" || *verdict.Rule != "money" || *verdict.Reason != "a\tb\nZoë" ||
		!reflect.DeepEqual(*verdict.Requirement, expected) || !reflect.DeepEqual(verdict.Failed, []string{"one", "other"}) {
		t.Errorf("%+v", verdict)
	}
	for _, decision := range []string{"allow", "deny"} {
		verdict, err := evaluate(t, policytest.Policy{Decision: decision})
		if err != nil || verdict.Decision != decision || verdict.Rule != nil || verdict.Reason != nil || verdict.Requirement != nil {
			t.Errorf("%+v, %v", verdict, err)
		}
	}
}

func TestAttemptsArriveWhole(t *testing.T) {
	whole := attempt()
	for parameter, expected := range map[byte]string{
		0: whole.Agent, 2: whole.Action, 4: whole.Context, 7: *whole.Plan, 9: whole.Facts,
	} {
		verdict, err := evaluate(t, policytest.Policy{Decision: "deny", Code: policytest.EchoText(parameter)})
		if err != nil || *verdict.Reason != expected {
			t.Errorf("parameter %d: %+v, %v", parameter, verdict, err)
		}
	}
	empty := whole
	empty.Plan = nil
	module := compiled(t, policytest.Policy{Decision: "deny", Code: policytest.EchoText(7)}.Component(), policy.TimeMax)
	if verdict, err := module.Evaluate(context.Background(), empty); err != nil || *verdict.Reason != "" {
		t.Errorf("%+v, %v", verdict, err)
	}
}

func TestMalformedVerdictsAreNone(t *testing.T) {
	set := func(at int, value uint32) func([]byte) {
		return func(record []byte) { binary.LittleEndian.PutUint32(record[at:], value) }
	}
	rules := make([]string, 17)
	for index := range rules {
		rules[index] = fmt.Sprint(index)
	}
	for name, p := range map[string]policytest.Policy{
		"no decision":                {},
		"another decision":           {Decision: "Allow"},
		"a longer decision":          {Decision: "allow "},
		"a rule with a space":        {Decision: "allow", Rule: "a b"},
		"a long rule":                {Decision: "allow", Rule: strings.Repeat("x", 129)},
		"a rule that is not ASCII":   {Decision: "allow", Rule: "é"},
		"a carriage return":          {Decision: "deny", Reason: "a\rb"},
		"an escape":                  {Decision: "deny", Reason: "\x1b[2J"},
		"a C1 control character":     {Decision: "deny", Reason: "a\u009bb"},
		"a long reason":              {Decision: "deny", Reason: strings.Repeat("x", 4097)},
		"a reason of other bytes":    {Decision: "deny", Reason: "\xff"},
		"allow with a requirement":   {Decision: "allow", Requirement: `{"threshold": 2}`},
		"deny with a requirement":    {Decision: "deny", Requirement: `{}`},
		"a requirement as list":      {Decision: "require_approval", Requirement: `[1]`},
		"a requirement and more":     {Decision: "require_approval", Requirement: `{} {}`},
		"an unknown member":          {Decision: "require_approval", Requirement: `{"Threshold": 2}`},
		"a member twice":             {Decision: "require_approval", Requirement: `{"threshold": 2, "threshold": 1}`},
		"no approver":                {Decision: "require_approval", Requirement: `{"threshold": 0}`},
		"17 approvers":               {Decision: "require_approval", Requirement: `{"threshold": 17}`},
		"half an approver":           {Decision: "require_approval", Requirement: `{"threshold": 1.5}`},
		"a threshold as text":        {Decision: "require_approval", Requirement: `{"threshold": "1"}`},
		"a long lifetime":            {Decision: "require_approval", Requirement: `{"ttl_seconds": 604801}`},
		"groups null":                {Decision: "require_approval", Requirement: `{"groups": null}`},
		"a group with a space":       {Decision: "require_approval", Requirement: `{"groups": {"a b": 1}}`},
		"nobody of a group":          {Decision: "require_approval", Requirement: `{"groups": {"a": 0}}`},
		"17 groups":                  {Decision: "require_approval", Requirement: `{"groups": {` + groups(17) + `}}`},
		"17 failed rules":            {Decision: "allow", Failed: rules},
		"a failed rule twice":        {Decision: "allow", Failed: []string{"a", "a"}},
		"a failed rule of nothing":   {Decision: "allow", Failed: []string{""}},
		"a third case":               {Decision: "allow", Rule: "a", Patch: func(record []byte) { record[8] = 2 }},
		"a text outside":             {Decision: "allow", Patch: set(0, 65_536)},
		"a text that wraps around":   {Decision: "allow", Patch: set(0, 0xffff_fffe)},
		"a long text":                {Decision: "allow", Patch: set(4, 0xffff_ffff)},
		"a list outside":             {Decision: "allow", Failed: []string{"a"}, Patch: set(44, 65_532)},
		"a list that wraps around":   {Decision: "allow", Failed: []string{"a", "b"}, Patch: set(44, 0xffff_fff8)},
		"a list that is unaligned":   {Decision: "allow", Patch: set(44, 66)},
		"a record outside":           {Decision: "allow", Code: []byte{0x41, 0x7c}},
		"a record at the end":        {Decision: "allow", Code: []byte{0x41, 0xe0, 0xff, 0x03}},
		"a record that is unaligned": {Decision: "allow", Code: []byte{0x41, 0xc1, 0}},
	} {
		if verdict, err := evaluate(t, p); err == nil {
			t.Errorf("%s: %+v", name, verdict)
		}
	}
}

func groups(count int) string {
	members := make([]string, count)
	for index := range members {
		members[index] = fmt.Sprintf(`"g%d": 1`, index)
	}
	return strings.Join(members, ", ")
}

func TestPoliciesThatTrapLoopOrGrowHaveNoVerdict(t *testing.T) {
	if verdict, err := evaluate(t, policytest.Policy{Decision: "allow", Code: policytest.Trap}); err == nil {
		t.Error(verdict)
	}
	// It gets 64 pages under a limit that allows them, and traps under a lower one.
	grows := policytest.Policy{Decision: "allow", Code: policytest.GrowOrTrap}
	if verdict, err := evaluate(t, grows); err == nil {
		t.Error(verdict)
	}
	roomy, err := policy.Compile(grows.Component(), 8<<20, policy.TimeMax, "")
	if err != nil {
		t.Fatal(err)
	}
	defer roomy.Close()
	if verdict, err := roomy.Evaluate(context.Background(), attempt()); err != nil || verdict.Decision != "allow" {
		t.Error(verdict, err)
	}
	loops := compiled(t, policytest.Policy{Code: policytest.Loop}.Component(), 50*time.Millisecond)
	if verdict, err := loops.Evaluate(context.Background(), attempt()); err == nil {
		t.Error(verdict)
	}
	endless := compiled(t, policytest.Policy{Code: policytest.Loop}.Component(), time.Hour)
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if verdict, err := endless.Evaluate(ctx, attempt()); err == nil {
		t.Error(verdict)
	}
}

func TestEachEvaluationHasAFreshInstance(t *testing.T) {
	// It answers `deny` once its record was changed: it adds one to the length of the decision.
	code := []byte{0x41, 0xc0, 0, 0x41, 0xc0, 0, 0x28, 2, 4, 0x41, 1, 0x6b, 0x36, 2, 4}
	changes := policytest.Policy{Decision: "allow!", Code: append(bytes.Clone(code), policytest.Answer...)}
	module := compiled(t, changes.Component(), policy.TimeMax)
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for range 25 {
				if verdict, err := module.Evaluate(context.Background(), attempt()); err != nil || verdict.Decision != "allow" {
					t.Error(verdict, err)
				}
			}
		})
	}
	group.Wait()
}

func TestPoliciesOfAnotherShapeAreRefused(t *testing.T) {
	allow := policytest.Policy{Decision: "allow"}
	without := func(export string) []byte {
		changed := allow
		changed.Without = export
		return changed.Component()
	}
	large := allow
	large.Pages = 33
	for name, component := range map[string][]byte{
		"nothing":            nil,
		"a core module":      allow.Core(),
		"two core modules":   policytest.Wrap(allow.Core(), allow.Core()),
		"no core module":     policytest.Wrap(),
		"another module":     policytest.Wrap([]byte{0, 'a', 's', 'm', 1, 0, 0, 0}),
		"no evaluate":        without("signoff:approval/guardrails@0.1.0#evaluate"),
		"no realloc":         without("cabi_realloc"),
		"more than 2 MiB":    large.Component(),
		"a cut component":    allow.Component()[:60],
		"a malformed module": policytest.Wrap(append([]byte{0, 'a', 's', 'm', 1, 0, 0, 0}, 99, 0)),
	} {
		if module, err := policy.Compile(component, memoryBytes, policy.TimeMax, ""); err == nil {
			module.Close()
			t.Errorf("%s: compiled", name)
		}
	}
	if _, err := policy.Compile(without("cabi_post_signoff:approval/guardrails@0.1.0#evaluate"), memoryBytes, policy.TimeMax, ""); err != nil {
		t.Error(err)
	}
}

func TestAClosedPolicyHasNoVerdict(t *testing.T) {
	module, err := policy.Compile(policytest.Policy{Decision: "allow"}.Component(), memoryBytes, policy.TimeMax, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	module.Close()
	if verdict, err := module.Evaluate(context.Background(), attempt()); err == nil || errors.Is(err, context.Canceled) {
		t.Error(verdict, err)
	}
}
