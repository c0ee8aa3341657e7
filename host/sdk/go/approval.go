package signoff

import (
	"fmt"
	"regexp"
	"time"

	"signoff.dev/signoff/internal/strict"
	"signoff.dev/signoff/verifier"
)

// Approval is a request for approval, as the server shows it. Nothing in it is verified. Texts that have
// no value are empty, times zero.
type Approval struct {
	ID          string `json:"id"`
	Audience    string `json:"audience"`
	Status      Status `json:"status"`
	Agent       string `json:"agent"`
	Action      string `json:"action"`
	ContextHash string `json:"context_hash"`
	PlanHash    string `json:"plan_hash"`
	// Context and Plan are JSON objects, nil in lists.
	Context       RawJSON              `json:"context"`
	Plan          RawJSON              `json:"plan"`
	Reason        string               `json:"reason"`
	RequestedBy   string               `json:"requested_by"`
	RequestedAt   time.Time            `json:"requested_at"`
	ExpiresAt     time.Time            `json:"expires_at"`
	RequestDigest string               `json:"request_digest"`
	Requirement   verifier.Requirement `json:"requirement"`
	Policy        string               `json:"policy"`
	Rule          string               `json:"rule"`
	PolicyReason  string               `json:"policy_reason"`
	Ballots       []Ballot             `json:"ballots"`
	Approver      string               `json:"approver"`
	Comment       string               `json:"comment"`
	Execution     *ShownExecution      `json:"execution"`
	WithdrawnBy   string               `json:"withdrawn_by"`
	// Verifier is the digest of the server's verifier.
	Verifier string `json:"verifier"`
	// Text is the whole answer as it came, with members that this version does not know.
	Text string `json:"-"`
}

// Status is the state of an approval.
type Status string

// The states of an approval.
const (
	Pending   Status = "pending"
	Approved  Status = "approved"
	Rejected  Status = "rejected"
	Executed  Status = "executed"
	Expired   Status = "expired"
	Withdrawn Status = "withdrawn"
)

// Ballot is one approver's signed decision.
type Ballot struct {
	Decision  string    `json:"decision"`
	Approver  string    `json:"approver"`
	Comment   string    `json:"comment"`
	Signature string    `json:"signature"`
	Profile   string    `json:"profile"`
	KeyID     string    `json:"key_id"`
	CastAt    time.Time `json:"cast_at"`
}

// ShownExecution is the single execution of an approval.
type ShownExecution struct {
	ID             string    `json:"id"`
	ClaimedBy      string    `json:"claimed_by"`
	ClaimedAt      time.Time `json:"claimed_at"`
	LeaseExpiresAt time.Time `json:"lease_expires_at"`
	// Outcome is `claimed`, `succeeded`, `failed` or `unknown`.
	Outcome   string    `json:"outcome"`
	Detail    string    `json:"detail"`
	SettledAt time.Time `json:"settled_at"`
	Late      bool      `json:"late"`
}

var (
	approvalID  = regexp.MustCompile(`^appr_[0-9a-hjkmnp-tv-z]{26}$`)
	executionID = regexp.MustCompile(`^exec_[0-9a-hjkmnp-tv-z]{26}$`)
)

// parseApproval reads an approval. With an id it must be that approval.
func parseApproval(text, id string) (*Approval, error) {
	approval, err := decoded[Approval](text)
	if err != nil {
		return nil, err
	}
	approval.Text = text
	for _, required := range []string{
		string(approval.Status), approval.Audience, approval.Agent, approval.Action, approval.ContextHash,
		approval.RequestDigest, approval.RequestedBy, approval.Verifier,
	} {
		if required == "" {
			return nil, newError("unreachable", "the answer is not an approval: a member is missing")
		}
	}
	if !approvalID.MatchString(approval.ID) || approval.RequestedAt.IsZero() || approval.ExpiresAt.IsZero() {
		return nil, newError("unreachable", "the answer is not an approval: id or times are malformed")
	}
	if id != "" && approval.ID != id {
		return nil, newError("untrusted-answer", "the approval %s was asked for, the answer shows %s", id, approval.ID)
	}
	return approval, nil
}

// refusedBy returns the error of an approval that was decided against, or nil.
func (a *Approval) refusedBy() error {
	var refused *Error
	switch a.Status {
	case Rejected:
		refused = newError("rejected", "an approver rejected the request")
		refused.Comment = a.Comment
		for _, ballot := range a.Ballots {
			if ballot.Decision == "rejected" {
				refused.Comment = ballot.Comment
			}
		}
	case Expired:
		refused = newError("expired", "the request expired without a decision, or before it was claimed")
	case Withdrawn:
		refused = newError("withdrawn", "the request was withdrawn")
	default:
		return nil
	}
	refused.ApprovalID = a.ID
	return refused
}

// String returns id and status, for logs.
func (a *Approval) String() string {
	return fmt.Sprintf("%s (%s)", a.ID, strict.Printable(string(a.Status)))
}
