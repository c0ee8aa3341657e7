package signoff

import (
	"context"
	"time"
)

// Claim is an attempt to run what was approved.
type Claim struct {
	Agent, Action string
	Context, Plan any
	// Lease is in whole seconds, up to a day; zero is the server's default. Once it runs out without a
	// report, the outcome is `unknown`.
	Lease          time.Duration
	IdempotencyKey string
}

// Claim consumes an approval for one execution. With the same idempotency key it returns the same one.
//
// Errors: as lifecycle.claim in wit/lifecycle.wit; ErrDenied, ErrForbidden, ErrUnavailable, ErrTimedOut.
func (c *Client) Claim(ctx context.Context, id string, claim Claim) (*Approval, error) {
	text, err := c.claim(ctx, id, claim)
	if err != nil {
		return nil, err
	}
	approval, err := parseApproval(text, id)
	return approval, about(id, err)
}

// claim returns the answer to a claim as it came.
func (c *Client) claim(ctx context.Context, id string, claim Claim) (string, error) {
	texts, err := attemptTexts(claim.Context, claim.Plan)
	if err != nil {
		return "", err
	}
	seconds, err := wholeSeconds("Lease", claim.Lease)
	if err != nil {
		return "", err
	}
	return c.changed(ctx, id, "/execute", struct {
		Agent   string  `json:"agent"`
		Action  string  `json:"action"`
		Context RawJSON `json:"context"`
		Plan    RawJSON `json:"plan,omitempty"`
		Seconds int64   `json:"lease_seconds,omitempty"`
	}{claim.Agent, claim.Action, texts.context, texts.plan, seconds}, claim.IdempotencyKey)
}

// Outcome is how an execution ended.
type Outcome struct {
	ExecutionID string `json:"execution_id"`
	// Outcome is `succeeded` or `failed`.
	Outcome string `json:"outcome"`
	// Detail is at most 4 KiB. It is kept and shown; put no secrets into it.
	Detail         string `json:"detail,omitempty"`
	IdempotencyKey string `json:"-"`
}

// Report reports how an execution ended.
//
// Errors: ErrMismatch for another execution, ErrConflict, ErrForbidden, ErrUnavailable, ErrTimedOut.
func (c *Client) Report(ctx context.Context, id string, outcome Outcome) (*Approval, error) {
	return c.change(ctx, id, "/outcome", outcome, outcome.IdempotencyKey)
}
