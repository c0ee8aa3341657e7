package signoff

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"time"

	"signoff.dev/signoff/internal/policy"
	"signoff.dev/signoff/internal/wasm"
	"signoff.dev/signoff/verifier"
)

const (
	activePolicy = "/api/v1/guardrails/policy"
	// policyBytesMax is the size of the largest module that a server takes.
	policyBytesMax = 64 << 20
	// factsBytesMax is as in wit/policy.wit.
	factsBytesMax = 16 << 10
	// heldMax is how long a server holds a poll at most.
	heldMax = 60 * time.Second
	// pollTimeLeast is the least time that a poll has besides.
	pollTimeLeast = 2 * time.Second
)

var (
	errNotLoaded = errors.New("the server has not answered yet")
	errNoPolicy  = errors.New("no policy is active")
	errStale     = errors.New("the server has not confirmed the policy for too long")
	errReplaced  = errors.New("the policy was replaced during the evaluation")
	errStopped   = errors.New("the policy is closed")
)

// state is what is known of the server's policy.
type state struct {
	// named is the policy of the server's last answer; its digest is empty if none is active.
	named namedPolicy
	// usable decides here; nil if no policy does, and then why says why.
	usable *usablePolicy
	why    error
	// confirmed is when the last poll was sent that was answered.
	confirmed time.Time
}

// namedPolicy is a policy as the server names it. Nothing in it is verified.
type namedPolicy struct{ digest, manifest string }

// usablePolicy is a verified, compiled policy, with the facts of this caller: a canonical text, empty if
// they follow from the agent.
type usablePolicy struct {
	digest string
	// reads are the facts that the policy reads.
	reads  []string
	facts  string
	module *policy.Module
}

// fresh returns the policy if it may decide now.
func (p *Policy) fresh() (*usablePolicy, error) {
	p.mutex.RLock()
	defer p.mutex.RUnlock()
	switch {
	case p.state.usable == nil:
		return nil, p.state.why
	case isOlder(p.state.confirmed, p.settings.MaxStale):
		return nil, errStale
	}
	return p.state.usable, nil
}

// isOlder compares with the monotonic clock, which no one can set, and with the wall clock, which goes on
// while the machine sleeps.
func isOlder(moment time.Time, limit time.Duration) bool {
	now := time.Now()
	return now.Sub(moment) > limit || now.Round(0).Sub(moment.Round(0)) > limit
}

// change changes the state and frees a policy that is no longer used.
func (p *Policy) change(change func(*state)) {
	p.mutex.Lock()
	before := p.state.usable
	change(&p.state)
	after := p.state.usable
	close(p.changed)
	p.changed = make(chan struct{})
	p.mutex.Unlock()
	if before != nil && (after == nil || after.module != before.module) {
		// It waits for evaluations.
		p.running.Go(before.module.Close)
	}
}

// stopDeciding lets the server decide.
func (p *Policy) stopDeciding(why error) {
	p.mutex.RLock()
	isNew := p.state.usable != nil || reasonOf(p.state.why) != reasonOf(why)
	p.mutex.RUnlock()
	if isNew {
		p.settings.Log.Warn("signoff: the policy does not decide here, the server is asked", "reason", why)
	}
	p.change(func(s *state) { s.usable, s.why = nil, why })
}

// reasonOf is the text of an error without the id of a request.
func reasonOf(err error) string {
	var known *Error
	if errors.As(err, &known) {
		return known.Code + known.Detail
	}
	return fmt.Sprint(err)
}

// third is the time between two confirmations.
func (p *Policy) third() time.Duration { return p.settings.MaxStale / 3 }

// follow polls until the context ends. It closes `first` after the first attempt.
func (p *Policy) follow(ctx context.Context, first chan<- struct{}) {
	failures := 0
	for {
		asked := time.Now()
		err := p.poll(ctx, asked)
		if first != nil {
			close(first)
			first = nil
		}
		if ctx.Err() != nil {
			return
		}
		// A server that does not hold polls is not asked without a pause.
		pause := min(pollPause, p.third()) - time.Since(asked)
		if err == nil {
			failures = 0
		} else {
			if failures == 0 {
				p.settings.Log.Warn("signoff: the policy cannot be confirmed now", "error", err)
			}
			pause = min(jittered(backoffFirst<<min(failures, 10)), p.third())
			failures++
		}
		if !sleep(ctx, max(pause, 0)) {
			return
		}
	}
}

// poll asks once which policy is active, and loads it if it is another one.
func (p *Policy) poll(ctx context.Context, asked time.Time) error {
	held := min(p.third().Truncate(time.Second), heldMax)
	query := url.Values{}
	p.mutex.RLock()
	known := p.state.named.digest
	answered := !p.state.confirmed.IsZero()
	p.mutex.RUnlock()
	if answered && held > 0 {
		query.Set("wait", strconv.Itoa(int(held/time.Second)))
		query.Set("while", known)
		if known == "" {
			query.Set("while", "none")
		}
	}
	limited, cancel := context.WithTimeout(ctx, held+min(p.client.timeout, max(p.third(), pollTimeLeast)))
	defer cancel()
	text, failure := p.client.attempt(limited, call{method: http.MethodGet, path: activePolicy, query: query})
	if failure != nil {
		// A server that refuses allows nothing any more; one that is busy or away says nothing.
		if failure.Status != 0 && failure.Code != "unreachable" && failure.retryAfter == final {
			p.stopDeciding(failure)
		}
		return failure
	}
	answer, err := parseActive(text)
	if err != nil {
		return err
	}
	return p.take(ctx, asked, answer)
}

// activeAnswer is the answer of the route.
type activeAnswer struct {
	policy   namedPolicy
	facts    json.RawMessage
	audience string
}

var digestForm = regexp.MustCompile(`^[0-9a-f]{64}$`)

func parseActive(text string) (*activeAnswer, error) {
	read, err := decoded[struct {
		Policy   json.RawMessage `json:"policy"`
		Facts    json.RawMessage `json:"facts"`
		Audience string          `json:"audience"`
	}](text)
	if err != nil {
		return nil, err
	}
	if read.Policy == nil || read.Facts == nil || read.Audience == "" {
		return nil, newError("unreachable", "the answer is not an active policy: a member is missing")
	}
	answer := &activeAnswer{facts: read.Facts, audience: read.Audience}
	if string(read.Policy) == "null" {
		return answer, nil
	}
	named, err := decoded[struct {
		Digest   string          `json:"digest"`
		Manifest json.RawMessage `json:"manifest"`
	}](string(read.Policy))
	if err != nil {
		return nil, err
	}
	if !digestForm.MatchString(named.Digest) || named.Manifest == nil {
		return nil, newError("unreachable", "the answer is not an active policy: digest or manifest is malformed")
	}
	answer.policy = namedPolicy{named.Digest, string(named.Manifest)}
	return answer, nil
}

// take acts on an answer to the poll that was sent at a time.
func (p *Policy) take(ctx context.Context, asked time.Time, answer *activeAnswer) error {
	p.mutex.RLock()
	used, isSame := p.state.usable, p.state.named == answer.policy
	p.mutex.RUnlock()
	if used != nil && !isSame {
		// Whatever decided before does so no longer, from this moment.
		p.change(func(s *state) { s.usable, s.why = nil, errReplaced })
		used = nil
	}
	next, err := p.usable(ctx, used, answer)
	if err != nil {
		p.stopDeciding(err)
	}
	p.change(func(s *state) {
		s.named, s.confirmed = answer.policy, asked
		if err == nil {
			s.usable, s.why = next, nil
		}
	})
	// The next poll tries again; only what the network did is tried sooner.
	var known *Error
	if errors.As(err, &known) && known.retryAfter != final {
		return err
	}
	return nil
}

// usable returns what decides with an answer: the policy in use with new facts, or one that is loaded.
func (p *Policy) usable(ctx context.Context, used *usablePolicy, answer *activeAnswer) (*usablePolicy, error) {
	if answer.audience != p.settings.Audience {
		return nil, newError("audience-mismatch", "the server is of the deployment `%s`", answer.audience)
	}
	if answer.policy.digest == "" {
		return nil, errNoPolicy
	}
	facts, names, err := p.facts(answer.facts)
	if err != nil {
		return nil, err
	}
	if used == nil {
		if used, err = p.load(ctx, answer.policy); err != nil {
			return nil, err
		}
	}
	for _, name := range used.reads {
		// A fact of claims, which no evaluation has.
		if name != "claimed_by" && !slices.Contains(names, name) {
			used.module.Close()
			return nil, newError("module-invalid", "the policy reads the fact `%s`, which the server does not give", name)
		}
	}
	return &usablePolicy{digest: used.digest, reads: used.reads, facts: facts, module: used.module}, nil
}

// facts reads the facts of this caller: the canonical text, empty if they follow from the agent, and their
// names.
func (p *Policy) facts(given json.RawMessage) (text string, names []string, err error) {
	if string(given) == "null" {
		return "", []string{"requester"}, nil
	}
	text, err = p.verifier.Canonicalize(given)
	if err != nil {
		return "", nil, ofVerifier(err)
	}
	if len(text) > factsBytesMax {
		return "", nil, newError("limit-exceeded", "the facts are %d bytes, the limit is %d", len(text), factsBytesMax)
	}
	members, err := object(text)
	if err != nil {
		return "", nil, err
	}
	for name := range members {
		names = append(names, name)
	}
	return text, names, nil
}

// load verifies the manifest, gets the bytes and compiles them.
func (p *Policy) load(ctx context.Context, named namedPolicy) (*usablePolicy, error) {
	if named == p.unusable.named {
		return nil, p.unusable.why
	}
	manifest, err := p.verifier.VerifyManifest(named.manifest, verifier.ManifestCheck{
		Digest: named.digest, Slot: "policy", Audience: p.settings.Audience, Signers: p.settings.Signers,
	})
	if err != nil {
		return nil, ofVerifier(err)
	}
	bytes, err := p.client.policyBytes(ctx, named.digest)
	if err != nil {
		return nil, err
	}
	if digest := sha256.Sum256(bytes); hex.EncodeToString(digest[:]) != named.digest {
		return nil, newError("untrusted-answer", "the bytes of the policy have another digest")
	}
	module, err := policy.Compile(bytes, manifest.Limits.MemoryBytes, policy.TimeMax, wasm.UserCache())
	if err != nil {
		// The same bytes would fail again.
		p.unusable.named = named
		p.unusable.why = newError("module-invalid", "this process cannot run the policy: %v", err).because(err)
		return nil, p.unusable.why
	}
	return &usablePolicy{digest: named.digest, reads: manifest.Facts, module: module}, nil
}

// policyBytes gets the bytes of the active policy, without a check of their digest.
func (c *Client) policyBytes(ctx context.Context, digest string) ([]byte, error) {
	limited, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	answer, failure := c.open(limited, call{method: http.MethodGet, path: activePolicy + "/" + digest + "/wasm"}, "application/wasm")
	if failure != nil {
		return nil, failure
	}
	defer answer.Body.Close()
	bytes, err := io.ReadAll(io.LimitReader(answer.Body, policyBytesMax+1))
	switch {
	case answer.StatusCode != http.StatusOK:
		return nil, refusal(answer, bytes)
	case err != nil:
		broken := unusable(answer, "the answer ended early: %v", err).because(err)
		broken.retryAfter = 0
		return nil, broken
	case len(bytes) > policyBytesMax:
		return nil, unusable(answer, "the policy is larger than %d bytes", policyBytesMax)
	}
	return bytes, nil
}
