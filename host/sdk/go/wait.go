package signoff

import (
	"context"
	"errors"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	// pollSeconds is how long the server holds one poll.
	pollSeconds = 50
	// pollPause is the least time between two polls of a server that does not hold them.
	pollPause = 500 * time.Millisecond
	// expiryGrace is how long the server may take to show that an approval expired.
	expiryGrace = 10 * time.Second
)

// Wait returns an approval once it is no longer pending, whatever its status is then. The context limits
// how long it waits.
//
// Errors: ErrTimedOut once the context ends, or before if the server cannot be reached until then; ErrExpired if the server still shows a pending approval after
// its expiry; as [Client.Get].
func (c *Client) Wait(ctx context.Context, id string) (*Approval, error) {
	started := time.Now()
	query := url.Values{"wait": {strconv.Itoa(pollSeconds)}, "while": {string(Pending)}}
	for {
		asked := time.Now()
		text, err := c.read(ctx, id, call{path: pathOf(id, ""), query: query, held: pollSeconds * time.Second})
		if err != nil {
			return nil, c.late(ctx, asked, err)
		}
		approval, err := parseApproval(text, id)
		if err != nil {
			return nil, about(id, err)
		}
		if approval.Status != Pending {
			return approval, nil
		}
		// By the server's clock alone, because this one may differ.
		lifetime := approval.ExpiresAt.Sub(approval.RequestedAt)
		if time.Since(started) > lifetime+expiryGrace {
			return nil, about(id, newError("expired", "the server shows a pending approval after its expiry"))
		}
		if pause := jittered(2*pollPause) - time.Since(asked); pause > 0 && !sleep(ctx, pause) {
			return nil, about(id, ended(ctx))
		}
	}
}

// late makes ErrTimedOut of a poll's failure after which no further try fits before the context's deadline.
func (c *Client) late(ctx context.Context, asked time.Time, err error) error {
	var failed *Error
	deadline, limited := ctx.Deadline()
	if !limited || deadline.After(asked.Add(c.timeout+pollSeconds*time.Second)) || !errors.As(err, &failed) || failed.retryAfter == final {
		return err
	}
	late := newError("timed-out", "undecided within the caller's time limit: %s", failed.Detail)
	late.ApprovalID = failed.ApprovalID
	return late.because(errors.Join(context.DeadlineExceeded, failed.cause))
}

// trimmed removes the line feed that ends an answer.
func trimmed(text string) string {
	return strings.TrimSuffix(text, "\n")
}
