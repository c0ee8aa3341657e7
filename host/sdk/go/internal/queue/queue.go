// Package queue keeps decisions until a server has accepted them.
package queue

import (
	"crypto/rand"
	"errors"
	"strconv"
	"strings"
	"time"
)

// BatchMax is the number of decisions in the largest batch.
const BatchMax = 256

// Queue collects decisions in batches. Any number of goroutines may add; one takes batches out.
type Queue interface {
	// Add keeps a decision, a JSON text on one line. A decision that could not be kept must not count.
	Add(line string) error
	// Filled receives a value after decisions were added, or found.
	Filled() <-chan struct{}
	// Seal ends the batch in progress, so that it can be sent.
	Seal() error
	// Oldest returns the sealed batch to send next, or nil.
	Oldest() (*Batch, error)
	// Remove forgets a batch. The decisions in `refused` are put aside first.
	Remove(batch *Batch, refused []string) error
	// Counts returns how many decisions wait, and how many were put aside.
	Counts() (pending, refused int)
	// End ends adding and seals the last batch.
	End() error
	// Close lets other processes have what waits on disk.
	Close() error
}

// Batch is decisions that are sent together.
type Batch struct {
	// Key names the batch and never changes, so that a repetition of it can be recognized.
	Key   string
	Lines []string
}

var (
	// ErrClosed is the error of adding after End.
	ErrClosed = errors.New("the queue of decisions is closed")
	// ErrFull says that the memory for decisions is used up.
	ErrFull = errors.New("too many decisions wait for the server")
)

// newKey returns a name that sorts by time.
func newKey() string {
	return strconv.FormatInt(time.Now().UnixNano(), 10) + "-" + strings.ToLower(rand.Text())
}

// signal says that there is something to send, unless it is said already.
type signal chan struct{}

func (s signal) raise() {
	select {
	case s <- struct{}{}:
	default:
	}
}
