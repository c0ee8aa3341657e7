package signoff

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	// answerBytesMax is the size of the largest answer, in bytes.
	answerBytesMax = 16 << 20
	backoffFirst   = 100 * time.Millisecond
	backoffMax     = 5 * time.Second
	// retryAfterMax is the longest delay that a server is believed, a day.
	retryAfterMax = 24 * time.Hour
	version       = "0.1.0"
)

// call is one request of the API. All of them may be repeated: reads, and changes with an idempotency
// key.
type call struct {
	method, path string
	query        url.Values
	body         string
	key          string
	// held is how long the server may keep the request before it answers.
	held time.Duration
	// after is the event after which a stream begins.
	after string
}

// send makes a call, and repeats it while its connection fails, or the server is busy and says when to
// come back. It returns the answer as text.
//
// Errors: ErrTimedOut once the context ends; the server's refusal; ErrUnavailable if no usable answer
// came within the client's timeout.
func (c *Client) send(ctx context.Context, call call) (string, error) {
	limit := c.timeout + call.held
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for attempt := 0; ; attempt++ {
		text, failure := c.attempt(limited, call)
		switch {
		case failure == nil:
			return text, nil
		case ctx.Err() != nil:
			return "", ended(ctx)
		case limited.Err() != nil:
			return "", newError("unreachable", "no answer within %s", limit).because(failure)
		case failure.retryAfter == final:
			return "", failure
		}
		// Not exactly then: others wait too.
		delay := failure.retryAfter + jittered(min(backoffFirst<<min(attempt, 10), backoffMax))
		if deadline, _ := limited.Deadline(); time.Now().Add(delay).After(deadline) {
			return "", failure
		}
		if !sleep(limited, delay) {
			return "", ended(ctx)
		}
	}
}

// jittered returns half to all of a duration.
func jittered(whole time.Duration) time.Duration {
	return whole/2 + rand.N(whole/2+1)
}

// sleep returns false if the context ends first.
func sleep(ctx context.Context, delay time.Duration) bool {
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// attempt makes a call once.
func (c *Client) attempt(ctx context.Context, call call) (string, *Error) {
	answer, failure := c.open(ctx, call, "application/json")
	if failure != nil {
		return "", failure
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, answerBytesMax+1))
	switch {
	case err != nil:
		broken := unusable(answer, "the answer ended early: %v", err).because(err)
		broken.retryAfter = 0
		return "", broken
	case len(text) > answerBytesMax:
		return "", unusable(answer, "the answer is larger than %d bytes", answerBytesMax)
	case answer.StatusCode == http.StatusOK || answer.StatusCode == http.StatusCreated:
		if !utf8.Valid(text) || !bytes.HasPrefix(bytes.TrimSpace(text), []byte("{")) || !json.Valid(text) {
			return "", unusable(answer, "the answer is not a JSON object")
		}
		return string(text), nil
	default:
		return "", refusal(answer, text)
	}
}

// open sends a request and returns the answer, whatever its status. The caller closes its body.
func (c *Client) open(ctx context.Context, call call, accept string) (*http.Response, *Error) {
	target := c.server.base + call.path
	if len(call.query) > 0 {
		target += "?" + call.query.Encode()
	}
	var body io.Reader
	if call.body != "" {
		body = strings.NewReader(call.body)
	}
	request, err := http.NewRequestWithContext(ctx, call.method, target, body)
	if err != nil {
		return nil, newError("request-invalid", "the request cannot be made: %v", err)
	}
	request.Header.Set("Accept", accept)
	request.Header.Set("User-Agent", "signoff-go/"+version)
	if token := c.token(); token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	if call.body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	if call.key != "" {
		request.Header.Set("Idempotency-Key", call.key)
	}
	if call.after != "" {
		request.Header.Set("Last-Event-ID", call.after)
	}
	answer, err := c.http.Do(request)
	if err != nil {
		var wrapped *url.Error
		if errors.As(err, &wrapped) {
			err = wrapped.Err
		}
		failure := newError("unreachable", "the server at %s cannot be reached: %v", c.name, err).because(err)
		if !isFinal(err) {
			failure.retryAfter = 0
		}
		return nil, failure
	}
	return answer, nil
}

// requestIDs are those that a server gives.
var requestIDs = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// codeForm is the form of every code.
var codeForm = regexp.MustCompile(`^[a-z0-9-]{1,64}$`)

// unusable is the error of an answer that is not what the route returns.
func unusable(answer *http.Response, format string, values ...any) *Error {
	failure := newError("unreachable", format, values...)
	failure.Status = answer.StatusCode
	if id := answer.Header.Get("X-Request-Id"); requestIDs.MatchString(id) {
		failure.RequestID = id
	}
	return failure
}

// refusal reads an answer that is not a success.
func refusal(answer *http.Response, text []byte) *Error {
	failure := unusable(answer, "the server answered with status %d and no reason", answer.StatusCode)
	var problem struct {
		Code, Title, Detail string
		Members             []string
	}
	isProblem := answer.StatusCode >= 400 && json.Unmarshal(text, &problem) == nil && codeForm.MatchString(problem.Code)
	if isProblem {
		read := newError(problem.Code, "%s", problem.Detail)
		if problem.Title != "" {
			read.Title = problem.Title
		}
		read.Status, read.RequestID, read.Members = failure.Status, failure.RequestID, problem.Members
		if read.kind == ErrDenied {
			read.Comment = problem.Detail
		}
		failure = read
	}
	busy := answer.StatusCode == http.StatusTooManyRequests || answer.StatusCode == http.StatusServiceUnavailable
	if delay, given := retryAfter(answer.Header.Get("Retry-After")); busy && given {
		failure.retryAfter = delay
	}
	return failure
}

// retryAfter reads the header in seconds or as a date.
func retryAfter(value string) (delay time.Duration, given bool) {
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		return min(time.Duration(seconds)*time.Second, retryAfterMax), true
	}
	if at, err := http.ParseTime(value); err == nil {
		return min(max(time.Until(at), 0), retryAfterMax), true
	}
	return 0, false
}

// decoded reads an answer.
func decoded[T any](text string) (*T, error) {
	value := new(T)
	if err := json.Unmarshal([]byte(text), value); err != nil {
		return nil, newError("unreachable", "the answer is not what the route returns: %v", err).because(err)
	}
	return value, nil
}

// pathOf returns the path of an approval and a word after it.
func pathOf(id, word string) string {
	return fmt.Sprintf("/api/v1/approvals/%s%s", url.PathEscape(id), word)
}
