package signoff

import (
	"signoff.dev/signoff/internal/strict"
	"signoff.dev/signoff/verifier"
)

// Execution is the one run of an action that was approved, or that the policy allowed.
type Execution struct {
	// ID is the server's name for this execution. It and ApprovalID are empty if the policy allowed the action.
	ID         string
	ApprovalID string
	// Context is parsed from ContextText; its numbers are [encoding/json.Number]. Run on exactly this.
	Context map[string]any
	// ContextText is the canonical text that was approved.
	ContextText string
	// Plan and PlanText are the same for the plan; nil and empty if there is none.
	Plan     map[string]any
	PlanText string
	// Approvers are those whose signatures were verified. Without pinned keys they are those that the
	// server named.
	Approvers []verifier.Approver
	// Verdict is the policy's, nil if people approved.
	Verdict *Verdict

	reported bool
}

// parse fills Context and Plan.
func (e *Execution) parse() (err error) {
	if e.Context, err = object(e.ContextText); err == nil && e.PlanText != "" {
		e.Plan, err = object(e.PlanText)
	}
	return err
}

// Decode stores the approved context in the value that `target` points to, like [encoding/json.Unmarshal],
// but refuses what that would change silently: a member without a field of exactly its name, and a number
// that the field's type would round.
func (e *Execution) Decode(target any) error {
	return strict.Decode("context", e.ContextText, target)
}

// DecodePlan is [Execution.Decode] for the plan. There must be one.
func (e *Execution) DecodePlan(target any) error {
	return strict.Decode("plan", e.PlanText, target)
}

// Reported is whether the server has the outcome. It is set when [Client.Guard] returns; if it is false,
// the server will show the outcome `unknown`. Of an action that the policy allowed there is no outcome.
func (e *Execution) Reported() bool {
	return e.reported
}
