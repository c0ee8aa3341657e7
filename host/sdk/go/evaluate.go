package signoff

import (
	"context"
	"signoff.dev/signoff/verifier"
)

// Attempt is what an agent is about to do.
type Attempt struct {
	Agent, Action  string
	Context, Plan  any
	IdempotencyKey string
}

// Evaluation is the policy's verdict on an action: the server's word.
type Evaluation struct {
	// Decision is `allow`, `require_approval` or `deny`.
	Decision         string                `json:"decision"`
	Reason           string                `json:"reason"`
	RequiresApproval bool                  `json:"requires_approval"`
	Rule             string                `json:"rule"`
	Policy           string                `json:"policy"`
	Requirement      *verifier.Requirement `json:"requirement"`
	// Failed are rules whose condition could not be evaluated.
	Failed []string `json:"failed"`
	Text   string   `json:"-"`
}

// Evaluate asks for the policy's verdict on an action.
//
// Errors: ErrInvalid, ErrForbidden, ErrUnavailable, ErrTimedOut. A denial is an answer.
func (c *Client) Evaluate(ctx context.Context, attempt Attempt) (*Evaluation, error) {
	texts, err := attemptTexts(attempt.Context, attempt.Plan)
	if err != nil {
		return nil, err
	}
	text, err := c.post(ctx, "/api/v1/guardrails/evaluate", struct {
		Agent   string  `json:"agent"`
		Action  string  `json:"action"`
		Context RawJSON `json:"context"`
		Plan    RawJSON `json:"plan,omitempty"`
	}{attempt.Agent, attempt.Action, texts.context, texts.plan}, keyOr(attempt.IdempotencyKey))
	if err != nil {
		return nil, err
	}
	evaluation, err := decoded[Evaluation](text)
	if err != nil {
		return nil, err
	}
	switch evaluation.Decision {
	case "allow", "require_approval", "deny":
	default:
		return nil, newError("unreachable", "the answer is not a verdict: `%s`", evaluation.Decision)
	}
	evaluation.Text = text
	return evaluation, nil
}
