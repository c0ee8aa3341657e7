package signoff

import (
	"context"
	"errors"
	"fmt"
	"time"

	"signoff.dev/signoff/internal/strict"
	"signoff.dev/signoff/verifier"
)

// Error is every error of a [Client]. Decide by its kind, with [errors.Is], or by its code:
//
//	if errors.Is(err, signoff.ErrNotApproved) { … }
//
//	var refused *signoff.Error
//	if errors.As(err, &refused) { fmt.Println(refused.Code, refused.Comment) }
//
// All texts may quote what an agent, an approver or a server wrote. [Error.Error] escapes what a
// terminal would take for more than text; the members do not.
type Error struct {
	// Code is stable: one of wit/codes.md, or `rejected`, `withdrawn`, `untrusted-answer`, `unreachable`
	// or `timed-out`.
	Code string
	// Title is the title of the code, Detail the reason of this error.
	Title, Detail string
	// Status is the HTTP status, 0 if no server answered.
	Status int
	// RequestID is the id under which the server logged the request, empty if there is none.
	RequestID string
	// ApprovalID is the approval that was requested, empty before the request.
	ApprovalID string
	// Comment is the rejecting approver's comment, or the policy's reason.
	Comment string
	// Members are JSON pointers to what differs, if the server named them.
	Members []string

	kind Kind
	// retryAfter is how long to wait before a retry; negative for errors that are final.
	retryAfter time.Duration
	cause      error
}

// Kind is a group of codes, and an error to compare with by [errors.Is].
type Kind string

// The kinds of [Error]. Every error is an ErrSignoff; the four that follow ErrNotApproved are also
// ErrNotApproved.
const (
	ErrSignoff     Kind = "SignoffError"
	ErrNotApproved Kind = "NotApproved"
	// ErrRejected: an approver said no.
	ErrRejected  Kind = "Rejected"
	ErrExpired   Kind = "Expired"
	ErrWithdrawn Kind = "Withdrawn"
	// ErrDenied: the policy said no.
	ErrDenied Kind = "Denied"
	// ErrMismatch: the approval is for something else.
	ErrMismatch Kind = "Mismatch"
	// ErrUnverified: signatures do not prove what the server showed.
	ErrUnverified Kind = "Unverified"
	// ErrInvalid: the caller's mistake.
	ErrInvalid   Kind = "Invalid"
	ErrForbidden Kind = "Forbidden"
	ErrNotFound  Kind = "NotFound"
	// ErrConflict: the approval's status does not allow it.
	ErrConflict Kind = "Conflict"
	// ErrUnavailable: no usable answer, or a failure of the server.
	ErrUnavailable Kind = "Unavailable"
	// ErrTimedOut: the caller's context ended.
	ErrTimedOut Kind = "TimedOut"
	// ErrVerifierTrapped: the verifier in this process failed.
	ErrVerifierTrapped Kind = "VerifierTrapped"
)

// Error returns the name of the kind.
func (k Kind) Error() string { return string(k) }

// includes reports whether an error of kind `other` is also one of this kind.
func (k Kind) includes(other Kind) bool {
	switch k {
	case ErrSignoff, other:
		return true
	case ErrNotApproved:
		return other == ErrRejected || other == ErrExpired || other == ErrWithdrawn || other == ErrDenied
	default:
		return false
	}
}

// Kind returns the error's kind, ErrSignoff for a code that this version does not know.
func (e *Error) Kind() Kind { return e.kind }

// Is makes [errors.Is] work with a [Kind].
func (e *Error) Is(target error) bool {
	kind, ok := target.(Kind)
	return ok && kind.includes(e.kind)
}

// Unwrap returns the cause: an error of the network, of the context or of the verifier.
func (e *Error) Unwrap() error { return e.cause }

// Error returns the code and the detail on one line.
func (e *Error) Error() string {
	text := strict.Printable(e.Code) + ": " + strict.Printable(e.Detail)
	if e.Comment != "" && e.Comment != e.Detail {
		text += ": " + strict.Printable(e.Comment)
	}
	if e.RequestID != "" {
		text += " (request " + e.RequestID + ")"
	}
	return text
}

// newError makes an error of this process.
func newError(code, format string, values ...any) *Error {
	known := codes[code]
	if known.kind == "" {
		known.kind = ErrSignoff
	}
	return &Error{
		Code: code, Title: known.title, Detail: fmt.Sprintf(format, values...), kind: known.kind, retryAfter: final,
	}
}

// final marks an error that is not retried.
const final time.Duration = -1

func (e *Error) because(cause error) *Error {
	e.cause = cause
	return e
}

// ofVerifier converts an error of package verifier; a code is the same error as that of a server.
func ofVerifier(err error) error {
	if err == nil {
		return nil
	}
	var rejection *verifier.Rejection
	if errors.As(err, &rejection) {
		return newError(rejection.Code, "%s", rejection.Message).because(err)
	}
	trapped := newError("verifier-trapped", "%v", err).because(err)
	trapped.kind = ErrVerifierTrapped
	return trapped
}

// ended is the error of a context that is over.
func ended(ctx context.Context) *Error {
	cause := context.Cause(ctx)
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return newError("timed-out", "the caller's time limit passed").because(errors.Join(ctx.Err(), cause))
	}
	return newError("timed-out", "the caller ended the call").because(errors.Join(ctx.Err(), cause))
}

// about names the approval in an error of this package.
func about(id string, err error) error {
	var known *Error
	if errors.As(err, &known) {
		known.ApprovalID = id
	}
	return err
}
