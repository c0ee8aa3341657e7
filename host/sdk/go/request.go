package signoff

import (
	"context"
	"time"
)

// Request is a request for approval.
type Request struct {
	Agent, Action string
	// Context and Plan are JSON objects: a value, or a text as string or [RawJSON]. Plan is optional.
	// [verifier.Verifier.Canonicalize] says which values are refused.
	Context, Plan any
	// Reason is for approvers, at most 4 KiB.
	Reason string
	// ExpiresIn is in whole seconds, up to a week; zero is the server's default.
	ExpiresIn time.Duration
	// Threshold and Groups require that many approvers, and that many of each group. The server's own
	// minimum applies too.
	Threshold int
	Groups    map[string]int
	// IdempotencyKey makes repetitions one request; if empty, the call makes one.
	IdempotencyKey string
}

type requirement struct {
	Threshold int            `json:"threshold,omitempty"`
	Groups    map[string]int `json:"groups,omitempty"`
}

// Request requests an approval. Its status is usually [Pending].
//
// Errors: ErrInvalid, ErrDenied, ErrConflict, ErrForbidden, ErrUnavailable, ErrTimedOut; ErrUnverified if
// the answer is about another request.
func (c *Client) Request(ctx context.Context, request Request) (*Approval, error) {
	texts, err := attemptTexts(request.Context, request.Plan)
	if err != nil {
		return nil, err
	}
	seconds, err := wholeSeconds("ExpiresIn", request.ExpiresIn)
	if err != nil {
		return nil, err
	}
	body := struct {
		Agent       string       `json:"agent"`
		Action      string       `json:"action"`
		Context     RawJSON      `json:"context"`
		Plan        RawJSON      `json:"plan,omitempty"`
		Reason      string       `json:"reason,omitempty"`
		Seconds     int64        `json:"expires_in_seconds,omitempty"`
		Requirement *requirement `json:"requirement,omitempty"`
	}{request.Agent, request.Action, texts.context, texts.plan, request.Reason, seconds, nil}
	if request.Threshold != 0 || len(request.Groups) > 0 {
		body.Requirement = &requirement{request.Threshold, request.Groups}
	}
	text, err := c.post(ctx, approvals, body, keyOr(request.IdempotencyKey))
	if err != nil {
		return nil, err
	}
	approval, err := parseApproval(text, "")
	if err != nil {
		return nil, err
	}
	if approval.Agent != request.Agent || approval.Action != request.Action {
		return nil, about(approval.ID, newError("untrusted-answer", "the answer is about another agent or action"))
	}
	return approval, nil
}
