package signoff

import (
	"context"
	"crypto/rand"
	"net/http"
	"regexp"
	"time"

	"signoff.dev/signoff/internal/strict"
	"signoff.dev/signoff/verifier"
)

const approvals = "/api/v1/approvals"

// texts are the context and plan of an attempt; the plan is nil if there is none.
type texts struct {
	context, plan RawJSON
}

func attemptTexts(context, plan any) (texts, error) {
	var read texts
	text, err := strict.Text("context", context, verifier.ContextBytesMax)
	if err != nil {
		return read, newError("context-invalid", "%v", err).because(err)
	}
	read.context = RawJSON(text)
	if plan == nil {
		return read, nil
	}
	if text, err = strict.Text("plan", plan, verifier.ContextBytesMax); err != nil {
		return read, newError("context-invalid", "%v", err).because(err)
	}
	read.plan = RawJSON(text)
	return read, nil
}

// wholeSeconds converts a duration; zero is unset.
func wholeSeconds(name string, duration time.Duration) (int64, error) {
	if duration < 0 || duration%time.Second != 0 {
		return 0, newError("request-invalid", "%s must be whole seconds, it is %s", name, duration)
	}
	return int64(duration / time.Second), nil
}

// keyOr returns an idempotency key: the caller's, or a random one.
func keyOr(given string) string {
	if given != "" {
		return given
	}
	return rand.Text()
}

// keyForm is the form of idempotency keys.
var keyForm = regexp.MustCompile(`^[!-~]{0,255}$`)

// post sends a change.
func (c *Client) post(ctx context.Context, path string, body any, key string) (string, error) {
	if !keyForm.MatchString(key) {
		return "", newError("request-invalid", "an idempotency key is at most 255 visible ASCII characters")
	}
	text, err := strict.Encode("request", body, verifier.RequestBytesMax)
	if err != nil {
		return "", newError("request-invalid", "%v", err).because(err)
	}
	return c.send(ctx, call{method: http.MethodPost, path: path, body: text, key: key})
}

// change sends a change of one approval, and returns the approval.
func (c *Client) change(ctx context.Context, id, word string, body any, key string) (*Approval, error) {
	text, err := c.changed(ctx, id, word, body, key)
	if err != nil {
		return nil, err
	}
	approval, err := parseApproval(text, id)
	return approval, about(id, err)
}

// changed sends a change of one approval, and returns the answer as it came.
func (c *Client) changed(ctx context.Context, id, word string, body any, key string) (string, error) {
	if err := checkID(id); err != nil {
		return "", err
	}
	text, err := c.post(ctx, pathOf(id, word), body, keyOr(key))
	return text, about(id, err)
}

// read gets what belongs to one approval.
func (c *Client) read(ctx context.Context, id string, call call) (string, error) {
	if err := checkID(id); err != nil {
		return "", err
	}
	call.method = http.MethodGet
	text, err := c.send(ctx, call)
	return text, about(id, err)
}

// checkID refuses what no server would find, before it becomes part of a path.
func checkID(id string) error {
	if approvalID.MatchString(id) {
		return nil
	}
	return newError("not-found", "`%s` is not the id of an approval", id)
}

// Get returns an approval.
//
// Errors: ErrNotFound, ErrForbidden, ErrUnavailable, ErrTimedOut; ErrUnverified if the answer is another
// approval.
func (c *Client) Get(ctx context.Context, id string) (*Approval, error) {
	text, err := c.read(ctx, id, call{path: pathOf(id, "")})
	if err != nil {
		return nil, err
	}
	approval, err := parseApproval(text, id)
	return approval, about(id, err)
}

// Withdraw takes a request back before it is claimed.
//
// Errors: ErrConflict, ErrExpired, ErrForbidden, ErrNotFound, ErrUnavailable, ErrTimedOut.
func (c *Client) Withdraw(ctx context.Context, id string) (*Approval, error) {
	return c.change(ctx, id, "/withdraw", struct{}{}, "")
}

// Extend sets the lifetime of a request without ballots, counted from now, in whole seconds.
//
// Errors: as [Client.Withdraw]; ErrInvalid.
func (c *Client) Extend(ctx context.Context, id string, lifetime time.Duration) (*Approval, error) {
	seconds, err := wholeSeconds("lifetime", lifetime)
	if err != nil {
		return nil, err
	}
	return c.change(ctx, id, "/extend", struct {
		Seconds int64 `json:"expires_in_seconds"`
	}{seconds}, "")
}

// Receipt returns the proof of an approval as a text, for [verifier.Verifier.VerifyReceipt].
//
// Errors: ErrNotFound, ErrForbidden, ErrUnavailable, ErrTimedOut.
func (c *Client) Receipt(ctx context.Context, id string) (string, error) {
	text, err := c.read(ctx, id, call{path: pathOf(id, "/receipt")})
	if err != nil {
		return "", err
	}
	// The verifier takes a receipt without the line feed that ends an answer.
	return trimmed(text), nil
}
