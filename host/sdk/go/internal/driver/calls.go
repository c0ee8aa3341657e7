package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"signoff.dev/signoff"
	"signoff.dev/signoff/verifier"
)

// command is a command of the suite; each uses some of the members.
type command struct {
	Cmd     string `json:"cmd"`
	Path    string `json:"path"`
	Threads int    `json:"threads"`
	Calls   int    `json:"calls"`

	URL         string          `json:"url"`
	Token       string          `json:"token"`
	CA          string          `json:"ca"`
	ID          string          `json:"id"`
	Agent       string          `json:"agent"`
	Action      string          `json:"action"`
	Context     string          `json:"context"`
	Plan        *string         `json:"plan"`
	Reason      string          `json:"reason"`
	Threshold   int             `json:"threshold"`
	Groups      map[string]int  `json:"groups"`
	ExpiresIn   int             `json:"expires_in_seconds"`
	Lease       int             `json:"lease_seconds"`
	CallTimeout float64         `json:"call_timeout"`
	Timeout     float64         `json:"timeout"`
	Pinned      bool            `json:"pinned"`
	Keys        string          `json:"keys"`
	Audience    string          `json:"audience"`
	Floor       *verifier.Floor `json:"floor"`
	Accept      []string        `json:"accept"`
	Policies    []string        `json:"policies"`
	AllowHMAC   bool            `json:"allow_hmac"`
	Fail        bool            `json:"fail"`
	Signers     string          `json:"signers"`
	Queue       string          `json:"queue"`
	MaxStale    float64         `json:"max_stale"`
	Digest      *string         `json:"digest"`
}

func (c *command) client() (*signoff.Client, error) {
	options := []signoff.Option{signoff.WithToken(c.Token), signoff.WithCA(c.CA)}
	if c.Pinned {
		options = append(options, signoff.WithKeysFile(c.Keys), signoff.WithAudience(c.Audience), signoff.WithTrust(signoff.Trust{
			Floor: c.Floor, Accept: c.Accept, Policies: c.Policies, AllowHMAC: c.AllowHMAC,
		}))
	}
	if c.CallTimeout > 0 {
		options = append(options, signoff.WithTimeout(duration(c.CallTimeout)))
	}
	return signoff.NewClient(c.URL, options...)
}

func (c *command) plan() any {
	if c.Plan == nil {
		return nil
	}
	return *c.Plan
}

func seconds(count int) time.Duration {
	return time.Duration(count) * time.Second
}

func duration(seconds float64) time.Duration {
	return time.Duration(seconds * float64(time.Second))
}

// errDeliberate is what a function returns that is told to fail.
var errDeliberate = errors.New("the function failed with the secret")

// guard runs a guarded action.
func guard(ctx context.Context, c *command) any {
	runs := 0
	var ran *signoff.Execution
	err := guarded(ctx, c, func(_ context.Context, execution *signoff.Execution) error {
		runs++
		ran = execution
		if c.Fail {
			return errDeliberate
		}
		return nil
	})
	answer := map[string]any{"runs": runs, "ran_on": nil, "approval_id": nil, "reported": false, "error": nil}
	if ran != nil {
		answer["ran_on"], answer["approval_id"], answer["reported"] = ran.ContextText, ran.ApprovalID, ran.Reported()
	}
	if err != nil {
		answer["error"] = described(err)
	}
	var refused *signoff.Error
	if errors.As(err, &refused) && refused.ApprovalID != "" {
		answer["approval_id"] = refused.ApprovalID
	}
	return answer
}

func guarded(ctx context.Context, c *command, run func(context.Context, *signoff.Execution) error) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	return client.Guard(ctx, signoff.Action{
		Agent: c.Agent, Action: c.Action, Context: c.Context, Plan: c.plan(), Reason: c.Reason, Threshold: c.Threshold,
		Groups: c.Groups, ExpiresIn: seconds(c.ExpiresIn), Lease: seconds(c.Lease), Timeout: duration(c.Timeout),
	}, run)
}

// step makes one call and returns the server's answer.
func step(ctx context.Context, c *command) (string, error) {
	client, err := c.client()
	if err != nil {
		return "", err
	}
	var approval *signoff.Approval
	switch c.Cmd {
	case "request":
		approval, err = client.Request(ctx, signoff.Request{
			Agent: c.Agent, Action: c.Action, Context: c.Context, Plan: c.plan(), Reason: c.Reason,
			Threshold: c.Threshold, Groups: c.Groups, ExpiresIn: seconds(c.ExpiresIn),
		})
	case "wait":
		if c.Timeout > 0 {
			limited, cancel := context.WithTimeout(ctx, duration(c.Timeout))
			defer cancel()
			ctx = limited
		}
		approval, err = client.Wait(ctx, c.ID)
	case "claim":
		approval, err = client.Claim(ctx, c.ID, signoff.Claim{
			Agent: c.Agent, Action: c.Action, Context: c.Context, Plan: c.plan(), Lease: seconds(c.Lease),
		})
	case "get":
		approval, err = client.Get(ctx, c.ID)
	case "evaluate":
		evaluation, err := client.Evaluate(ctx, signoff.Attempt{
			Agent: c.Agent, Action: c.Action, Context: c.Context, Plan: c.plan(),
		})
		if err != nil {
			return "", err
		}
		return evaluation.Text, nil
	default:
		return "", fmt.Errorf("unknown command `%s`", c.Cmd)
	}
	if err != nil {
		return "", err
	}
	return approval.Text, nil
}
