package signoff

import (
	"bufio"
	"context"
	"errors"
	"io"
	"iter"
	"net/http"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	// silenceMax ends a connection: the server sends a heartbeat every 15 s.
	silenceMax = 45 * time.Second
	// eventBytesMax is the size of the largest event, in bytes.
	eventBytesMax = 4 << 20
)

// Event is an entry of the audit log.
type Event struct {
	// ID is where a later stream can begin. It is opaque.
	ID string
	// Kind is the kind of the entry; `reset` says that the server's log is another one than before.
	Kind string
	// Data is the entry, a JSON text.
	Data string
}

// Events returns the entries of the audit log as they are written, those after the event `after`; "0"
// begins with the first entry, and an empty text with the next one. It reconnects where it was, until
// the context ends or the caller stops. Roles: approver, auditor, admin.
//
//	for event, err := range client.Events(ctx, "") { … }
//
// It ends with one error: ErrTimedOut, ErrForbidden, ErrInvalid, or ErrUnavailable if no connection could
// be made within the client's timeout.
func (c *Client) Events(ctx context.Context, after string) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		if after != "" && !eventID.MatchString(after) {
			yield(Event{}, newError("request-invalid", "`%s` is not the id of an event", after))
			return
		}
		s := stream{client: c, last: after, yield: yield}
		failing, attempt := time.Now(), 0
		for {
			failure := s.connect(ctx)
			if s.stopped {
				return
			}
			if s.progressed {
				failing, attempt = time.Now(), 0
			}
			delay := failure.retryAfter + jittered(min(backoffFirst<<min(attempt, 10), backoffMax))
			attempt++
			switch {
			case ctx.Err() != nil:
				failure = ended(ctx)
			case failure.retryAfter == final || time.Since(failing)+delay > c.timeout:
			case sleep(ctx, delay):
				continue
			default:
				failure = ended(ctx)
			}
			yield(Event{}, failure)
			return
		}
	}
}

// eventID is the form of ids that can be sent in a header.
var eventID = regexp.MustCompile(`^[!-~]{1,128}$`)

// stream is a sequence of connections.
type stream struct {
	client *Client
	// last is the id of the last event.
	last  string
	yield func(Event, error) bool
	// stopped says that the caller wants no more.
	stopped bool
	// progressed says that the last connection brought something.
	progressed bool
}

// connect passes events on until the connection ends, which is always an error.
func (s *stream) connect(ctx context.Context) *Error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s.progressed = false
	watchdog := time.AfterFunc(silenceMax, cancel)
	defer watchdog.Stop()
	answer, failure := s.client.openStream(ctx, s.last)
	if failure != nil {
		return failure
	}
	defer answer.Body.Close()
	lines := bufio.NewReaderSize(answer.Body, 64<<10)
	var event Event
	var data []string
	size := 0
	for {
		line, err := limitedLine(lines, eventBytesMax-size)
		if err != nil {
			broken := unusable(answer, "the stream ended: %v", err).because(err)
			if !errors.Is(err, errLineTooLong) {
				broken.retryAfter = 0
			}
			return broken
		}
		s.progressed = true
		watchdog.Reset(silenceMax)
		size += len(line)
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case line == "":
			if len(data) > 0 {
				event.Data = strings.Join(data, "\n")
				if eventID.MatchString(event.ID) {
					s.last = event.ID
				}
				if !s.yield(event, nil) {
					s.stopped = true
					return nil
				}
			}
			event, data, size = Event{}, nil, 0
		case name == "id":
			event.ID = value
		case name == "event":
			event.Kind = value
		case name == "data":
			data = append(data, value)
		}
	}
}

// openStream opens a stream of events after one of them.
func (c *Client) openStream(ctx context.Context, after string) (*http.Response, *Error) {
	answer, failure := c.open(ctx, call{method: http.MethodGet, path: "/api/v1/events", after: after}, "text/event-stream")
	if failure != nil {
		return nil, failure
	}
	if answer.StatusCode == http.StatusOK {
		return answer, nil
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, answerBytesMax))
	if err != nil {
		text = nil
	}
	return nil, refusal(answer, text)
}

var errLineTooLong = errors.New("an event is too large, or not UTF-8")

// limitedLine reads a line without its end.
func limitedLine(reader *bufio.Reader, limit int) (string, error) {
	var line []byte
	for {
		part, err := reader.ReadSlice('\n')
		line = append(line, part...)
		if len(line) > limit {
			return "", errLineTooLong
		}
		if err == nil {
			break
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return "", err
		}
	}
	text := strings.TrimRight(string(line), "\r\n")
	if !utf8.ValidString(text) {
		return "", errLineTooLong
	}
	return text, nil
}
