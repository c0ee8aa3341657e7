package verifier

import (
	"encoding/json"
	"time"

	"signoff.dev/signoff/internal/strict"
)

// ContextBytesMax is the size of the largest context or plan, in bytes.
const ContextBytesMax = 1 << 20

// Statement is what an approver signs.
type Statement struct {
	Audience      string `json:"audience"`
	KeyID         string `json:"key_id"`
	ApprovalID    string `json:"approval_id"`
	RequestDigest string `json:"request_digest"`
	// ExpiresAt is in whole seconds since 1970.
	ExpiresAt int64  `json:"expires_at"`
	Decision  string `json:"decision"`
	Approver  string `json:"approver"`
	Comment   string `json:"comment"`
}

// Message is the exact message to sign for a statement.
type Message struct {
	Profile string `json:"profile"`
	// Base64URL holds the bytes, base64url without padding.
	Base64URL string `json:"base64url"`
	// Text is the same as text, nil if it is not text.
	Text *string `json:"text"`
}

// Canonicalize returns the canonical form of a context or plan, which must be a JSON object. A string or
// [RawJSON] is a JSON text; any other value is encoded as JSON.
//
// Encoding refuses what encoding/json would change silently: bytes, text that is not UTF-8, NaN, keys
// that are not strings, cycles. A whole float becomes an integer: pass RawJSON where 1 and 1.0 differ.
//
// Errors: a [*Rejection] with `context-invalid`, which names the path or the byte offset; [ErrTrapped].
func (v *Verifier) Canonicalize(context any) (string, error) {
	read, err := onContext[struct{ Canonical string }](v, "context.canonicalize", context)
	return read.Canonical, err
}

// Digest returns the SHA-256 of the canonical form of a context or plan, in lower-case hex.
//
// Errors: as [Verifier.Canonicalize].
func (v *Verifier) Digest(context any) (string, error) {
	read, err := onContext[struct{ Digest string }](v, "context.digest", context)
	return read.Digest, err
}

// Read returns the canonical form of a context or plan and its digest.
//
// Errors: as [Verifier.Canonicalize].
func (v *Verifier) Read(context any) (canonical, digest string, err error) {
	read, err := onContext[struct{ Canonical, Digest string }](v, "context.read", context)
	return read.Canonical, read.Digest, err
}

func onContext[T any](v *Verifier, op string, context any) (T, error) {
	var text string
	switch context := context.(type) {
	case string:
		text = context
	case RawJSON:
		text = string(context)
	default:
		encoded, err := strict.Encode("context", context, ContextBytesMax)
		if err != nil {
			var none T
			return none, &Rejection{"context-invalid", err.Error()}
		}
		text = encoded
	}
	return into[T](v, op, struct {
		Context string `json:"context"`
	}{text})
}

// Payload returns the message that a signature of this profile covers.
//
// Errors: a [*Rejection] with `request-invalid`, `limit-exceeded` or `statement-ambiguous`; [ErrTrapped].
func (v *Verifier) Payload(statement Statement, profile string) (Message, error) {
	return into[Message](v, "signing.payload", struct {
		Statement Statement `json:"statement"`
		Profile   string    `json:"profile"`
	}{statement, profile})
}

// Sign returns the signature of a statement. The material of an Ed25519 key is its private seed here.
//
// Errors: a [*Rejection] as for [Verifier.Payload], then `request-invalid`, `key-revoked` or
// `key-not-yours`; [ErrTrapped].
func (v *Verifier) Sign(statement Statement, profile string, key Key) (string, error) {
	read, err := into[struct{ Signature string }](v, "signing.sign", struct {
		Statement Statement `json:"statement"`
		Profile   string    `json:"profile"`
		Key       wireKey   `json:"key"`
	}{statement, profile, key.wire()})
	return read.Signature, err
}

// Verify verifies a signature of a statement and returns the id of the key that made it. `accept` lists
// the profiles that count.
//
// Errors: a [*Rejection] with a code of signing.verify in wit/signing.wit; [ErrTrapped].
func (v *Verifier) Verify(statement Statement, signature string, keys Keyring, accept []string) (keyID string, err error) {
	read, err := into[struct {
		KeyID string `json:"key_id"`
	}](v, "signing.verify", struct {
		Statement Statement `json:"statement"`
		Signature string    `json:"signature"`
		Keys      []wireKey `json:"keys"`
		Accept    []string  `json:"accept"`
	}{statement, signature, keys.wire(), list(accept)})
	return read.KeyID, err
}

// Attempt is what an executor is about to run.
type Attempt struct {
	Agent  string `json:"agent"`
	Action string `json:"action"`
	// Context is a JSON text.
	Context string `json:"context"`
	// Plan is a JSON text, empty if there is no plan.
	Plan string `json:"plan,omitempty"`
	// ExecutionID is the executor's own execution, empty before the claim.
	ExecutionID string `json:"execution_id,omitempty"`
}

// Floor is the least that an executor accepts. Zero members require nothing.
type Floor struct {
	// Threshold is a number of approvers.
	Threshold int `json:"threshold,omitempty"`
	// Groups is the number of approvers of each group.
	Groups map[string]int `json:"groups,omitempty"`
	// TTLSeconds is the longest lifetime of a request.
	TTLSeconds int64 `json:"ttl_seconds,omitempty"`
}

// ApprovalCheck is what [Verifier.VerifyApproval] compares an approval with. All of it comes from the
// executor's own memory and settings.
type ApprovalCheck struct {
	ID       string
	Audience string
	Attempt  Attempt
	// Keys are those that count, and revoked ones, whose material counts under no id.
	Keys Keyring
	// Accept lists the profiles that count; only v2 if it is nil.
	Accept []string
	Now    time.Time
	// RequestedAfter is the earliest time of the request; zero accepts any.
	RequestedAfter time.Time
	Floor          *Floor
	// Policies are the digests of policies, one of which must have set the requirement; nil accepts any.
	Policies []string
}

// Proof is what the approvers' signatures prove.
type Proof struct {
	ApprovalID    string      `json:"approval_id"`
	RequestDigest string      `json:"request_digest"`
	RequestedBy   string      `json:"requested_by"`
	RequestedAt   time.Time   `json:"requested_at"`
	ExpiresAt     time.Time   `json:"expires_at"`
	Requirement   Requirement `json:"requirement"`
	Policy        *string     `json:"policy"`
	Rule          *string     `json:"rule"`
	// Context and Plan are the canonical texts that were compared: run exactly these.
	Context string  `json:"context"`
	Plan    *string `json:"plan"`
	// Approvers are sorted by name.
	Approvers []Approver `json:"approvers"`
}

// Requirement says who must approve, and how long a request lives.
type Requirement struct {
	TTLSeconds int64          `json:"ttl_seconds"`
	Threshold  int            `json:"threshold"`
	Groups     map[string]int `json:"groups"`
}

// Approver is one person whose approval was verified.
type Approver struct {
	Approver string `json:"approver"`
	KeyID    string `json:"key_id"`
	// Groups are those of the given key.
	Groups    []string `json:"groups"`
	Profile   string   `json:"profile"`
	Algorithm string   `json:"algorithm"`
}

// VerifyApproval verifies that an executor may run an attempt. `approval` is the answer of
// `GET /approvals/{id}` or of a claim, exactly as it came.
//
// Errors: a [*Rejection] with a code of approval.verify in wit/approval.wit, which lists them in order;
// [ErrTrapped].
func (v *Verifier) VerifyApproval(approval string, check ApprovalCheck) (*Proof, error) {
	if err := isClockSet(check.Now); err != nil {
		return nil, err
	}
	var after *int64
	if !check.RequestedAfter.IsZero() {
		seconds := check.RequestedAfter.Unix()
		after = &seconds
	}
	proof, err := into[Proof](v, "approval.verify", struct {
		Approval       string    `json:"approval"`
		ID             string    `json:"id"`
		Audience       string    `json:"audience"`
		Attempt        Attempt   `json:"attempt"`
		Keys           []wireKey `json:"keys"`
		Accept         []string  `json:"accept"`
		Now            int64     `json:"now"`
		RequestedAfter *int64    `json:"requested_after"`
		Floor          *Floor    `json:"floor"`
		Policies       []string  `json:"policies"`
	}{
		approval, check.ID, check.Audience, check.Attempt, check.Keys.wire(), check.Accept, check.Now.Unix(),
		after, check.Floor, check.Policies,
	})
	if err != nil {
		return nil, err
	}
	return &proof, nil
}

// firstSecond is before this package existed: a clock that shows an earlier time is not set.
var firstSecond = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)

func isClockSet(now time.Time) error {
	if now.Before(firstSecond) {
		return &Rejection{"request-invalid", "the clock shows " + now.UTC().Format(time.RFC3339) + "; is it set?"}
	}
	return nil
}

// ReceiptCheck is what [Verifier.VerifyReceipt] trusts.
type ReceiptCheck struct {
	// LogKeys are the log's keys as `signoff audit key` prints them. Without any, the receipt is only
	// checked for consistency, and the report names no signer.
	LogKeys []string
	// ID and Audience are those that the receipt must belong to; empty accepts any.
	ID, Audience string
	// Keys are those of approvers that the caller trusts; nil pins none.
	Keys Keyring
	// Accept lists the profiles that count; only v2 if it is nil.
	Accept []string
	// Checkpoint is one that the caller holds, empty if none; Consistency connects it with the receipt's.
	Checkpoint  string
	Consistency []string
}

// Report is what a receipt proves. Text is the whole report as in wit/receipt.wit.
type Report struct {
	Audience       string  `json:"audience"`
	ApprovalID     string  `json:"approval_id"`
	Status         string  `json:"status"`
	Agent          string  `json:"agent"`
	Action         string  `json:"action"`
	RequirementMet bool    `json:"requirement_met"`
	Signer         *string `json:"signer"`
	Text           string  `json:"-"`
}

// VerifyReceipt verifies a receipt, without a server.
//
// Errors: a [*Rejection] with a code of receipt.verify in wit/receipt.wit, which lists them in order;
// [ErrTrapped].
func (v *Verifier) VerifyReceipt(receipt string, check ReceiptCheck) (*Report, error) {
	accept := check.Accept
	if accept == nil {
		accept = []string{"v2"}
	}
	var keys []wireKey
	if check.Keys != nil {
		keys = check.Keys.wire()
	}
	ok, err := v.Call("receipt.verify", struct {
		Receipt     string    `json:"receipt"`
		LogKeys     []string  `json:"log_keys"`
		ID          string    `json:"id,omitempty"`
		Audience    string    `json:"audience,omitempty"`
		Keys        []wireKey `json:"keys"`
		Accept      []string  `json:"accept"`
		Checkpoint  string    `json:"checkpoint,omitempty"`
		Consistency []string  `json:"consistency"`
	}{receipt, list(check.LogKeys), check.ID, check.Audience, keys, accept, check.Checkpoint, check.Consistency})
	if err != nil {
		return nil, err
	}
	report := &Report{Text: string(ok)}
	if err := json.Unmarshal(ok, report); err != nil {
		return nil, trapped("the answer to `receipt.verify` has another form: %w", err)
	}
	return report, nil
}

// list returns an empty list for nil, which the wire would read as unset.
func list(values []string) []string {
	if values == nil {
		return []string{}
	}
	return values
}
