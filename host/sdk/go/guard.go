package signoff

import (
	"context"
	"errors"
	"fmt"
	"time"

	"signoff.dev/signoff/internal/strict"
	"signoff.dev/signoff/verifier"
)

const (
	// clockSkew is how far the server's clock may be behind.
	clockSkew = 60 * time.Second
	// withdrawTimeMax limits the withdrawal of a request that is no longer needed.
	withdrawTimeMax = 5 * time.Second
)

// Action is an action of an agent that a person must approve.
type Action struct {
	Agent, Action string
	// Context and Plan are as in [Request].
	Context, Plan any
	Reason        string
	ExpiresIn     time.Duration
	Threshold     int
	Groups        map[string]int
	// Timeout limits the request and the wait for its decision, with their retries; zero waits until the
	// request expires. The context may end it earlier.
	Timeout time.Duration
	// Lease is as in [Claim].
	Lease time.Duration
	// Trust replaces the client's for this action.
	Trust *Trust
	// Policy, one of the same client, decides first: an action that it allows runs at once, one that it denies
	// is refused, and any other needs an approval. With pinned keys, so does an action that only the server
	// allows. nil requests an approval for every action.
	Policy *Policy
}

// guard is one action on its way from the request to the report.
type guard struct {
	client *Client
	action Action
	texts  texts
	// canonical texts and digests, computed by the own verifier; empty if there is no plan.
	context, contextDigest, plan, planDigest string

	verifier       *verifier.Verifier
	trust          *Trust
	requestedAfter time.Time
	id             string
}

// Guard runs a function if a person approves the action: it requests, waits, verifies, claims, runs and
// reports. The function runs at most once, on the context that was approved, and never without an
// approval, unless [Action.Policy] allows the action without one.
//
// With pinned keys (see [Trust]) the approvers' signatures are verified offline, before and after the
// claim, and a server that lies cannot cause anything to run. Without them the server is trusted.
//
// While it waits, the end of the context withdraws the request. The claim and the report are not
// interrupted by it, so that their outcome is known; each ends at the client's timeout. If the function
// returns an error, panics, or never starts after the claim, the outcome `failed` is reported; its detail
// names the error's type, never its text.
//
// Errors: the function's own, unchanged. If it did not run, an [*Error] of any kind. A report that fails is
// not an error: see [Execution.Reported].
func (c *Client) Guard(ctx context.Context, action Action, run func(context.Context, *Execution) error) error {
	if run == nil {
		return newError("request-invalid", "no function to run")
	}
	g, err := c.newGuard(action)
	if err != nil {
		return err
	}
	limited, cancel := ctx, context.CancelFunc(func() {})
	if action.Timeout > 0 {
		limited, cancel = context.WithTimeout(ctx, action.Timeout)
	}
	defer cancel()
	if action.Policy != nil {
		allowed, err := g.allowed(ctx, limited)
		if err != nil {
			return unanswered(ctx, err)
		}
		if allowed != nil {
			return run(ctx, allowed)
		}
	}
	approval, err := c.Request(limited, g.request())
	if err != nil {
		return unanswered(ctx, err)
	}
	g.id = approval.ID
	approved, err := g.approved(ctx, limited)
	if err != nil {
		if !errors.Is(err, ErrNotApproved) {
			g.withdraw(ctx)
		}
		return about(g.id, err)
	}
	execution, err := g.claimed(ctx, approved)
	if err != nil {
		return about(g.id, err)
	}
	return g.run(ctx, execution, run)
}

// unanswered is the error of a call before there is something to wait for: if the action's own time limit
// ended it, and not the caller's context, then the server is unavailable.
func unanswered(ctx context.Context, err error) error {
	var late *Error
	if ctx.Err() != nil || !errors.Is(err, ErrTimedOut) || !errors.As(err, &late) {
		return err
	}
	return newError("unreachable", "no answer within the action's Timeout").because(late.cause)
}

// request is what the guard requests: nothing weaker than the floor that it will verify.
func (g *guard) request() Request {
	request := Request{
		Agent: g.action.Agent, Action: g.action.Action, Context: g.texts.context, Plan: orNil(g.texts.plan),
		Reason: g.action.Reason, ExpiresIn: g.action.ExpiresIn, Threshold: g.action.Threshold, Groups: g.action.Groups,
	}
	if g.trust == nil {
		return request
	}
	return request.atLeast(g.trust.Floor)
}

// orNil keeps an absent text absent: an interface that holds a nil slice is not nil.
func orNil(text RawJSON) any {
	if text == nil {
		return nil
	}
	return text
}

// newGuard reads everything that is the caller's own, before anything is sent.
func (c *Client) newGuard(action Action) (*guard, error) {
	g := &guard{client: c, action: action}
	var err error
	if action.Policy != nil && action.Policy.client != c {
		return nil, newError("request-invalid", "Policy is that of another client")
	}
	if _, err = wholeSeconds("Lease", action.Lease); err != nil {
		return nil, err
	}
	if g.trust, err = c.trusted(action.Trust); err != nil {
		return nil, err
	}
	if g.texts, err = attemptTexts(action.Context, action.Plan); err != nil {
		return nil, err
	}
	if g.verifier, err = c.verifier(); err != nil {
		return nil, ofVerifier(err)
	}
	if g.context, g.contextDigest, err = g.verifier.Read(g.texts.context); err != nil {
		return nil, ofVerifier(err)
	}
	if g.texts.plan != nil {
		if g.plan, g.planDigest, err = g.verifier.Read(g.texts.plan); err != nil {
			return nil, ofVerifier(err)
		}
	}
	g.requestedAfter = c.now().Add(-clockSkew)
	return g, nil
}

// allowed asks the policy. It returns what to run on if the policy allows the action, and nil if the action
// needs an approval.
func (g *guard) allowed(ctx, limited context.Context) (*Execution, error) {
	verdict, err := g.action.Policy.Evaluate(limited, Attempt{
		Agent: g.action.Agent, Action: g.action.Action, Context: g.texts.context, Plan: orNil(g.texts.plan),
	})
	if err != nil {
		return nil, err
	}
	switch verdict.Decision {
	case "allow":
		// With pinned keys no word of the server makes an action run.
		if !verdict.Local && g.trust != nil {
			return nil, nil
		}
	case "require_approval":
		return nil, nil
	default:
		denied := newError("policy-denied", "the policy denies it")
		if verdict.Rule != "" {
			denied = newError("policy-denied", "rule `%s` of the policy denies it", verdict.Rule)
		}
		denied.Comment = verdict.Reason
		return nil, denied
	}
	if ctx.Err() != nil {
		return nil, ended(ctx)
	}
	execution := &Execution{ContextText: g.context, PlanText: g.plan, Verdict: verdict}
	return execution, execution.parse()
}

// approvedAttempt is what a verification, or a trusted server, says.
type approvedAttempt struct {
	context, plan string
	approvers     []verifier.Approver
	expiresAt     time.Time
}

// approved waits for the decision and verifies it. waiting ends at the action's time limit.
func (g *guard) approved(ctx, waiting context.Context) (*approvedAttempt, error) {
	decided, err := g.client.Wait(waiting, g.id)
	if err != nil {
		return nil, err
	}
	if err := decided.refusedBy(); err != nil {
		return nil, err
	}
	if g.trust == nil {
		return g.compared(decided, Approved)
	}
	if g.trust.Keys, err = g.client.strictKeys(ctx, g.trust.Keys); err != nil {
		return nil, err
	}
	return g.verified(decided, "")
}

// verified verifies an approval with the pinned keys.
func (g *guard) verified(shown *Approval, execution string) (*approvedAttempt, error) {
	proof, err := g.verifier.VerifyApproval(shown.Text, verifier.ApprovalCheck{
		ID:       g.id,
		Audience: g.trust.Audience,
		Attempt: verifier.Attempt{
			Agent: g.action.Agent, Action: g.action.Action, Context: string(g.texts.context), Plan: string(g.texts.plan),
			ExecutionID: execution,
		},
		Keys:           g.trust.Keys,
		Accept:         g.trust.Accept,
		Now:            g.client.now(),
		RequestedAfter: g.requestedAfter,
		Floor:          g.trust.Floor,
		Policies:       g.trust.Policies,
	})
	if err != nil {
		return nil, ofVerifier(err)
	}
	proven := &approvedAttempt{context: proof.Context, approvers: proof.Approvers, expiresAt: proof.ExpiresAt}
	if proof.Plan != nil {
		proven.plan = *proof.Plan
	}
	return proven, nil
}

// compared compares what a trusted server shows with the caller's own action.
func (g *guard) compared(shown *Approval, status Status) (*approvedAttempt, error) {
	switch {
	case shown.ID != g.id:
		return nil, newError("untrusted-answer", "the answer shows another approval")
	case shown.Agent != g.action.Agent || shown.Action != g.action.Action:
		return nil, newError("untrusted-answer", "the approval is for another agent or action")
	case shown.ContextHash != g.contextDigest:
		return nil, newError("untrusted-answer", "the approval is for another context")
	case shown.PlanHash != g.planDigest:
		return nil, newError("untrusted-answer", "the approval is for another plan")
	case shown.Status == Executed && status == Approved:
		return nil, newError("already-executed", "the approval was claimed by someone else")
	case status == Executed && shown.Execution.Outcome != "claimed":
		return nil, newError("untrusted-answer", "the claim shows the outcome `%s`", shown.Execution.Outcome)
	case shown.Status != status:
		return nil, newError("not-approved", "the approval has the status `%s`", shown.Status)
	}
	said := &approvedAttempt{context: g.context, plan: g.plan, expiresAt: shown.ExpiresAt}
	for _, ballot := range shown.Ballots {
		if ballot.Decision == "approved" {
			said.approvers = append(said.approvers, verifier.Approver{
				Approver: ballot.Approver, KeyID: ballot.KeyID, Profile: ballot.Profile,
			})
		}
	}
	return said, nil
}

// claimed claims the approval and verifies the answer. An error after the claim is reported as `failed`.
func (g *guard) claimed(ctx context.Context, approved *approvedAttempt) (*Execution, error) {
	// Not the client's clock, which may be set: see claims.
	if !claimedIDs.add(g.id, approved.expiresAt.Sub(g.client.now()), time.Now()) {
		return nil, newError("untrusted-answer", "this process claimed the approval before")
	}
	detached := context.WithoutCancel(ctx)
	text, err := g.client.claim(detached, g.id, Claim{
		Agent: g.action.Agent, Action: g.action.Action, Context: g.texts.context, Plan: orNil(g.texts.plan),
		Lease: g.action.Lease,
	})
	if err != nil {
		return nil, err
	}
	// Whichever approval it shows: the verification refuses another one, and then there is something to report.
	answer, err := parseApproval(text, "")
	if err != nil {
		return nil, err
	}
	if answer.Execution == nil || !executionID.MatchString(answer.Execution.ID) {
		return nil, newError("untrusted-answer", "the answer to the claim shows no execution")
	}
	execution, err := g.execution(answer)
	if err == nil && ctx.Err() != nil {
		err = ended(ctx)
	}
	if err != nil {
		g.report(ctx, answer.Execution.ID, "failed", "not started: "+detailOf(err))
		return nil, err
	}
	return execution, nil
}

// execution verifies the answer to the claim. It is compared with the same texts as the approval before
// it, so that it cannot show another context or plan.
func (g *guard) execution(answer *Approval) (*Execution, error) {
	id := answer.Execution.ID
	var again *approvedAttempt
	var err error
	if g.trust != nil {
		again, err = g.verified(answer, id)
	} else {
		again, err = g.compared(answer, Executed)
	}
	if err != nil {
		return nil, err
	}
	execution := &Execution{
		ID: id, ApprovalID: g.id, ContextText: again.context, PlanText: again.plan, Approvers: again.approvers,
	}
	return execution, execution.parse()
}

// object parses a canonical text.
func object(text string) (map[string]any, error) {
	value, err := strict.Value(text)
	members, ok := value.(map[string]any)
	if err != nil || !ok {
		return nil, newError("context-invalid", "the canonical text is not a JSON object")
	}
	return members, nil
}

// run runs the function and reports its outcome. If the function panics or ends its goroutine, that goes
// on after the report.
func (g *guard) run(ctx context.Context, execution *Execution, run func(context.Context, *Execution) error) error {
	outcome, detail := "failed", "panic"
	// The function may change what it was given; the report is about the claim.
	id := execution.ID
	defer func() { execution.reported = g.report(ctx, id, outcome, detail) }()
	err := run(ctx, execution)
	if err == nil {
		outcome, detail = "succeeded", ""
	} else {
		detail = detailOf(err)
	}
	return err
}

// report reports an outcome, whatever became of the context.
func (g *guard) report(ctx context.Context, execution, outcome, detail string) bool {
	_, err := g.client.Report(context.WithoutCancel(ctx), g.id, Outcome{
		ExecutionID: execution, Outcome: outcome, Detail: detail,
	})
	return err == nil
}

// detailOf names an error by its type: its text may hold secrets.
func detailOf(err error) string {
	return fmt.Sprintf("%T", err)
}

// withdraw takes the request back, as far as the server answers.
func (g *guard) withdraw(ctx context.Context) {
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), withdrawTimeMax)
	defer cancel()
	// The caller gets the error that led here.
	_, _ = g.client.Withdraw(limited, g.id)
}
