package signoff

import (
	"context"
)

// Decision is an approver's ballot.
type Decision struct {
	// Decision is `approved` or `rejected`.
	Decision  string `json:"decision"`
	Signature string `json:"signature"`
	// Approver may be empty if the token belongs to the approver.
	Approver       string `json:"approver,omitempty"`
	Comment        string `json:"comment,omitempty"`
	IdempotencyKey string `json:"-"`
}

// Decide casts a ballot, whose signature [verifier.Verifier.Sign] makes.
//
// Errors: as lifecycle.decide in wit/lifecycle.wit; ErrForbidden, ErrUnavailable, ErrTimedOut.
func (c *Client) Decide(ctx context.Context, id string, decision Decision) (*Approval, error) {
	return c.change(ctx, id, "/approve", decision, decision.IdempotencyKey)
}

// Check is what [Client.Verify] asks a server about. Empty members are not compared.
type Check struct {
	// Signature is that of a ballot.
	Signature     string
	Agent, Action string
	Context, Plan any
}

// Verification is the server's word on whether an executor may proceed now.
type Verification struct {
	Valid          bool   `json:"valid"`
	SignatureValid bool   `json:"signature_valid"`
	Code           string `json:"code"`
	Detail         string `json:"detail"`
	Text           string `json:"-"`
}

// Verify asks the server whether an executor may proceed now. It changes nothing. To trust no server, use
// [Client.Guard] with pinned keys.
//
// Errors: ErrInvalid, ErrNotFound, ErrForbidden, ErrUnavailable, ErrTimedOut. A refusal is an answer.
func (c *Client) Verify(ctx context.Context, id string, check Check) (*Verification, error) {
	if err := checkID(id); err != nil {
		return nil, err
	}
	body := struct {
		Signature string  `json:"signature"`
		Agent     string  `json:"agent,omitempty"`
		Action    string  `json:"action,omitempty"`
		Context   RawJSON `json:"context,omitempty"`
		Plan      RawJSON `json:"plan,omitempty"`
	}{Signature: check.Signature, Agent: check.Agent, Action: check.Action}
	if check.Context != nil {
		texts, err := attemptTexts(check.Context, check.Plan)
		if err != nil {
			return nil, err
		}
		body.Context, body.Plan = texts.context, texts.plan
	} else if check.Plan != nil {
		return nil, newError("request-invalid", "a plan is compared only with a context")
	}
	text, err := c.post(ctx, pathOf(id, "/verify"), body, "")
	if err != nil {
		return nil, about(id, err)
	}
	verification, err := decoded[Verification](text)
	if err != nil {
		return nil, about(id, err)
	}
	verification.Text = text
	return verification, nil
}
