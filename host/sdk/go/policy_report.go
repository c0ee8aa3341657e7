package signoff

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"signoff.dev/signoff/internal/policy"
	"signoff.dev/signoff/internal/queue"
)

const (
	reportedDecisions = "/api/v1/guardrails/decisions"
	// batchTime is how long a batch waits for further decisions.
	batchTime = 500 * time.Millisecond
	// reportPauseMax is the longest pause before a report is tried again.
	reportPauseMax = time.Minute
)

// decisionLine is a decision as the server takes it, a JSON text on one line.
func decisionLine(read *readAttempt, made *policy.Verdict, digest string, now time.Time) string {
	// Texts and no numbers: it cannot fail.
	line, _ := json.Marshal(struct {
		ID          string  `json:"id"`
		Agent       string  `json:"agent"`
		Action      string  `json:"action"`
		ContextHash string  `json:"context_hash"`
		PlanHash    string  `json:"plan_hash,omitempty"`
		Decision    string  `json:"decision"`
		Rule        *string `json:"rule,omitempty"`
		Policy      string  `json:"policy"`
		DecidedAt   string  `json:"decided_at"`
	}{
		strings.ToLower(rand.Text()), read.agent, read.action, read.contextDigest, read.planDigest, made.Decision, made.Rule,
		digest, now.UTC().Format("2006-01-02T15:04:05Z"),
	})
	return string(line)
}

// report reports decisions until the context ends.
func (p *Policy) report(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.queue.Filled():
		}
		// Further decisions go into the same batch.
		for failures := 0; sleep(ctx, max(batchTime, min(backoffFirst<<min(failures, 10), reportPauseMax))); failures++ {
			err := p.flush(ctx)
			if err == nil || ctx.Err() != nil {
				break
			}
			if failures == 0 {
				p.settings.Log.Warn("signoff: decisions cannot be reported now; they are kept", "error", err)
			}
		}
	}
}

// flush reports everything that was decided until now.
func (p *Policy) flush(ctx context.Context) error {
	if err := p.queue.Seal(); err != nil {
		return err
	}
	for {
		batch, err := p.queue.Oldest()
		if batch == nil || err != nil {
			return err
		}
		refused, err := p.send(ctx, batch)
		if err != nil {
			return err
		}
		if err := p.queue.Remove(batch, refused); err != nil {
			return err
		}
	}
}

// send reports a batch and returns the decisions that the server refuses for good. One of them makes it
// refuse the whole batch, so they are then sent one by one.
//
// Errors: the batch must be sent again.
func (p *Policy) send(ctx context.Context, batch *queue.Batch) (refused []string, err error) {
	err = p.client.reportDecisions(ctx, batch.Lines, batch.Key)
	if !isRefusedForGood(err) {
		return nil, err
	}
	var last error
	for _, line := range batch.Lines {
		var decision struct {
			ID string `json:"id"`
		}
		if err := json.Unmarshal([]byte(line), &decision); err != nil {
			refused, last = append(refused, line), err
			continue
		}
		err := p.client.reportDecisions(ctx, []string{line}, batch.Key+"-"+decision.ID)
		switch {
		case isRefusedForGood(err):
			refused, last = append(refused, line), err
		case err != nil:
			return nil, err
		}
	}
	if len(refused) > 0 {
		p.settings.Log.Error("signoff: the server refused decisions for good; they are not in its log",
			"decisions", len(refused), "batch", batch.Key, "kept", p.kept(), "error", last)
	}
	return refused, nil
}

// kept is where refused decisions are found.
func (p *Policy) kept() string {
	if p.recorded == RecordedOnDisk {
		return "in the folder `refused` of the queue"
	}
	return "nowhere"
}

// isRefusedForGood reports whether the server understood a report and will never take it. A token that is
// not valid can be replaced, so that is not among it.
func isRefusedForGood(err error) bool {
	var refused *Error
	if !errors.As(err, &refused) {
		return false
	}
	switch refused.Status {
	case http.StatusBadRequest, http.StatusForbidden, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
		return refused.Code != "unreachable"
	default:
		return false
	}
}

// reportDecisions sends decisions, each a JSON text.
func (c *Client) reportDecisions(ctx context.Context, lines []string, key string) error {
	decisions := make([]RawJSON, len(lines))
	for index, line := range lines {
		decisions[index] = RawJSON(line)
	}
	text, err := c.post(ctx, reportedDecisions, struct {
		Decisions []RawJSON `json:"decisions"`
	}{decisions}, key)
	if err != nil {
		return err
	}
	answer, err := decoded[struct {
		Recorded int `json:"recorded"`
	}](text)
	if err == nil && answer.Recorded != len(lines) {
		err = newError("unreachable", "%d decisions were reported, the server recorded %d", len(lines), answer.Recorded)
	}
	return err
}

// PolicyStatus is what a monitor shows of a [Policy].
type PolicyStatus struct {
	// Digest is the active policy as the server last named it, empty if none is active.
	Digest string
	// Local is whether that policy decides here now; if not, Reason says why.
	Local  bool
	Reason error
	// Confirmed is when the last poll was sent that the server answered; zero if none was.
	Confirmed time.Time
	// Pending is the number of decisions that the server has not accepted yet, Refused of those that it
	// refused for good since the start. Both should be near zero.
	Pending, Refused int
}

// Status returns what is known now.
func (p *Policy) Status() PolicyStatus {
	_, err := p.fresh()
	pending, refused := p.queue.Counts()
	p.mutex.RLock()
	defer p.mutex.RUnlock()
	return PolicyStatus{
		Digest: p.state.named.digest, Local: err == nil, Reason: err, Confirmed: p.state.confirmed, Pending: pending,
		Refused: refused,
	}
}

// Changed returns a channel that is closed when the server next confirms or replaces the policy.
func (p *Policy) Changed() <-chan struct{} {
	p.mutex.RLock()
	defer p.mutex.RUnlock()
	return p.changed
}

// Close stops following, and reports what was decided, until the context ends or the client's timeout
// passes. Later evaluations are the server's. A second call does nothing.
//
// Errors: those of a report: [PolicyStatus] has the number of decisions that were not accepted. In a queue
// on disk they stay until a process opens it again.
func (p *Policy) Close(ctx context.Context) error {
	var err error
	p.closing.Do(func() {
		err = p.halt()
		limited, cancel := context.WithTimeout(ctx, p.client.timeout)
		defer cancel()
		err = errors.Join(err, p.flush(limited), p.queue.Close())
	})
	return err
}

// halt ends following, deciding and reporting in the background.
func (p *Policy) halt() error {
	p.stop()
	p.running.Wait()
	p.change(func(s *state) { s.usable, s.why = nil, errStopped })
	p.running.Wait()
	return p.queue.End()
}
