package signoff

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"signoff.dev/signoff/internal/policy"
	"signoff.dev/signoff/internal/queue"
	"signoff.dev/signoff/verifier"
)

const (
	// maxStaleDefault is how old the server's last word may be.
	maxStaleDefault = 30 * time.Second
	maxStaleLeast   = time.Second
	maxStaleMost    = time.Hour
)

// PolicySettings are what an executor evaluates the server's policy with. Signers and audience are its own,
// and never the server's.
type PolicySettings struct {
	// Signers are the keys of those who may sign policies, see [verifier.ReadSigners]. nil is refused.
	Signers verifier.Keyring
	// Audience is the deployment that the executor works for; empty stands for that of the client's settings.
	Audience string
	// MaxStale is how long a policy decides after the server last confirmed it: 1 s to 1 h, zero stands for
	// 30 s. So long an action may run that a new policy forbids.
	MaxStale time.Duration
	// Queue is a folder for decisions that the server has not accepted yet; it is made if it is not there, and
	// nobody else may have access. Several processes may share it. If it is empty they are kept in memory, and
	// are lost if the process ends before they were reported.
	Queue string
	// Log gets what a person should know: why the policy does not decide here, and decisions that the server
	// refused. nil stands for [slog.Default].
	Log *slog.Logger
}

// Policy evaluates the server's active policy in this process. Any number of goroutines may use it.
type Policy struct {
	client   *Client
	verifier *verifier.Verifier
	settings PolicySettings
	queue    queue.Queue
	// recorded is where local decisions are kept, RecordedOnDisk or RecordedInMemory.
	recorded Recorded

	mutex sync.RWMutex
	state state
	// changed is closed and replaced when the state changes.
	changed chan struct{}

	// unusable is a policy that this process cannot run. Only the goroutine that follows uses it.
	unusable struct {
		named namedPolicy
		why   error
	}

	stop    context.CancelFunc
	running sync.WaitGroup
	closing sync.Once
}

// Recorded says who has a record of a decision when it is returned.
type Recorded string

// The places of a decision.
const (
	RecordedOnDisk   Recorded = "disk"
	RecordedInMemory Recorded = "memory"
	RecordedByServer Recorded = "server"
)

// Verdict is a policy's decision on an action.
type Verdict struct {
	// Decision is `allow`, `require_approval` or `deny`.
	Decision string
	// Rule names the rule that decided, empty if no rule did.
	Rule string
	// Reason is for people. It may quote what an agent wrote.
	Reason string
	// Requirement is what an approval requires, nil if nothing is known. A local one is the policy's own part, with
	// zero for unset members; the server may require more.
	Requirement *verifier.Requirement
	// Failed are rules whose condition could not be evaluated.
	Failed []string
	// Policy is the digest of the policy, empty if none is active.
	Policy string
	// Local is whether the decision was made in this process.
	Local    bool
	Recorded Recorded
}

// Policy fetches the server's active policy and follows it until [Policy.Close]. It waits for the first
// attempt to load it, which takes a second or two for a policy that this machine has not compiled before.
// A policy that cannot be loaded, or a server that does not answer, is not an error: see [Policy.Status].
//
// Errors: ErrInvalid for missing signers or audience, a MaxStale out of range, and a queue that cannot be
// used; ErrTimedOut if the context ends first; ErrVerifierTrapped.
func (c *Client) Policy(ctx context.Context, settings PolicySettings) (*Policy, error) {
	settings, err := c.completed(settings)
	if err != nil {
		return nil, err
	}
	v, err := c.verifier()
	if err != nil {
		return nil, ofVerifier(err)
	}
	p := &Policy{
		client: c, verifier: v, settings: settings, queue: queue.InMemory(), recorded: RecordedInMemory,
		changed: make(chan struct{}), state: state{why: errNotLoaded},
	}
	if settings.Queue != "" {
		p.recorded = RecordedOnDisk
		if p.queue, err = queue.OnDisk(settings.Queue, settings.Audience, settings.Log); err != nil {
			return nil, newError("request-invalid", "the queue of decisions: %v", err).because(err)
		}
	}
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	p.stop = stop
	first := make(chan struct{})
	p.running.Go(func() { p.follow(background, first) })
	p.running.Go(func() { p.report(background) })
	select {
	case <-first:
		return p, nil
	case <-ctx.Done():
		return nil, errors.Join(ended(ctx), p.halt(), p.queue.Close())
	}
}

func (c *Client) completed(settings PolicySettings) (PolicySettings, error) {
	if settings.Audience == "" {
		settings.Audience = c.audience
	}
	if settings.MaxStale == 0 {
		settings.MaxStale = maxStaleDefault
	}
	if settings.Log == nil {
		settings.Log = slog.Default()
	}
	switch {
	case settings.Signers == nil:
		return settings, newError("request-invalid", "no signers: set PolicySettings.Signers")
	case settings.Audience == "":
		return settings, newError("request-invalid", "no audience: set PolicySettings.Audience, WithAudience or SIGNOFF_AUDIENCE")
	case settings.MaxStale < maxStaleLeast || settings.MaxStale > maxStaleMost:
		return settings, newError("request-invalid", "MaxStale must be from %s to %s, it is %s", maxStaleLeast, maxStaleMost, settings.MaxStale)
	}
	return settings, nil
}

// Evaluate returns the verdict on an action. It is made here while the policy is fresh, its manifest is
// accepted, and this process can run it; then it is recorded before it is returned. In every other case,
// and if the evaluation fails here, it is the server's, as of [Client.Evaluate]. A denial is a verdict.
//
// Errors: ErrInvalid for a malformed attempt; as [Client.Evaluate] if the server gives no verdict either;
// ErrVerifierTrapped. After an error the action must not run.
func (p *Policy) Evaluate(ctx context.Context, attempt Attempt) (*Verdict, error) {
	read, err := p.read(attempt)
	if err != nil {
		return nil, err
	}
	verdict, err := p.decide(ctx, read)
	if err == nil {
		return verdict, nil
	}
	if ctx.Err() != nil {
		return nil, ended(ctx)
	}
	var failure *evaluationFailure
	if errors.As(err, &failure) {
		p.settings.Log.Warn("signoff: a local decision failed, the server is asked", "error", failure.cause)
	}
	evaluation, err := p.client.Evaluate(ctx, Attempt{
		Agent: attempt.Agent, Action: attempt.Action, Context: read.texts.context, Plan: orNil(read.texts.plan),
		IdempotencyKey: attempt.IdempotencyKey,
	})
	if err != nil {
		return nil, err
	}
	return &Verdict{
		Decision: evaluation.Decision, Rule: evaluation.Rule, Reason: evaluation.Reason,
		Requirement: evaluation.Requirement, Failed: evaluation.Failed, Policy: evaluation.Policy,
		Recorded: RecordedByServer,
	}, nil
}

// readAttempt is an attempt with its canonical texts and their digests.
type readAttempt struct {
	agent, action                            string
	texts                                    texts
	context, contextDigest, plan, planDigest string
}

func (p *Policy) read(attempt Attempt) (*readAttempt, error) {
	if !policy.IsIdentifier(attempt.Agent) || !policy.IsIdentifier(attempt.Action) {
		return nil, newError("request-invalid", "agent and action must be 1 to 128 visible ASCII characters")
	}
	read := &readAttempt{agent: attempt.Agent, action: attempt.Action}
	var err error
	if read.texts, err = attemptTexts(attempt.Context, attempt.Plan); err != nil {
		return nil, err
	}
	if read.context, read.contextDigest, err = p.verifier.Read(read.texts.context); err != nil {
		return nil, ofVerifier(err)
	}
	if read.texts.plan != nil {
		if read.plan, read.planDigest, err = p.verifier.Read(read.texts.plan); err != nil {
			return nil, ofVerifier(err)
		}
	}
	return read, nil
}

// evaluationFailure says that a policy that should decide here did not.
type evaluationFailure struct{ cause error }

func (e *evaluationFailure) Error() string {
	return fmt.Sprintf("the local decision failed: %v", e.cause)
}

// decide makes and records a decision here, or says why it cannot.
func (p *Policy) decide(ctx context.Context, read *readAttempt) (*Verdict, error) {
	used, err := p.fresh()
	if err != nil {
		return nil, err
	}
	now := p.client.now()
	if now.Unix() <= 0 {
		return nil, &evaluationFailure{errors.New("the clock is not set")}
	}
	attempt := policy.Attempt{
		Agent: read.agent, Action: read.action, Context: read.context, Facts: used.facts, Now: uint64(now.Unix()),
	}
	if read.texts.plan != nil {
		attempt.Plan = &read.plan
	}
	if attempt.Facts == "" {
		// Visible ASCII, for which Go's quotes are those of JSON.
		attempt.Facts = `{"requester": ` + strconv.Quote("agent:"+strings.ToLower(read.agent)) + `}`
	}
	made, err := used.module.Evaluate(ctx, attempt)
	if err != nil {
		return nil, &evaluationFailure{err}
	}
	// The server may have confirmed another policy meanwhile, or nothing for too long.
	if again, err := p.fresh(); err != nil || again.digest != used.digest {
		return nil, errors.Join(errReplaced, err)
	}
	if err := p.queue.Add(decisionLine(read, made, used.digest, now)); err != nil {
		return nil, &evaluationFailure{fmt.Errorf("it cannot be recorded: %w", err)}
	}
	verdict := &Verdict{
		Decision: made.Decision, Requirement: made.Requirement, Failed: made.Failed, Policy: used.digest, Local: true,
		Recorded: p.recorded,
	}
	if made.Rule != nil {
		verdict.Rule = *made.Rule
	}
	if made.Reason != nil {
		verdict.Reason = *made.Reason
	}
	return verdict, nil
}
