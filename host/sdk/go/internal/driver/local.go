package main

import (
	"context"
	"errors"

	"signoff.dev/signoff"
	"signoff.dev/signoff/verifier"
)

// followed are the local policies, one for each server and file of signers.
var followed = map[[2]string]*signoff.Policy{}

// localPolicy decides with the local policy, which it makes at the first command.
func localPolicy(ctx context.Context, c *command) (any, error) {
	name := [2]string{c.URL, c.Signers}
	if followed[name] == nil {
		client, err := c.client()
		if err != nil {
			return nil, err
		}
		signers, err := verifier.ReadSigners(c.Signers)
		if err != nil {
			return nil, err
		}
		followed[name], err = client.Policy(ctx, signoff.PolicySettings{
			Signers: signers, Audience: c.Audience, MaxStale: duration(c.MaxStale), Queue: c.Queue,
		})
		if err != nil {
			delete(followed, name)
			return nil, err
		}
	}
	verdict, err := followed[name].Evaluate(ctx, signoff.Attempt{
		Agent: c.Agent, Action: c.Action, Context: c.Context, Plan: c.plan(),
	})
	if err != nil {
		return nil, err
	}
	return map[string]any{
		"decision": verdict.Decision, "rule": orNull(verdict.Rule), "reason": orNull(verdict.Reason), "local": verdict.Local,
		"policy": orNull(verdict.Policy), "recorded": verdict.Recorded, "failed": verdict.Failed,
	}, nil
}

func orNull(text string) any {
	if text == "" {
		return nil
	}
	return text
}

// waitForPolicy returns once a local policy has followed to a digest; nil stands for no policy.
func waitForPolicy(c *command) (any, error) {
	p := followed[[2]string{c.URL, c.Signers}]
	if p == nil {
		return nil, errors.New("there is no such local policy")
	}
	wanted := ""
	if c.Digest != nil {
		wanted = *c.Digest
	}
	for {
		changed := p.Changed()
		if status := p.Status(); status.Digest == wanted && !status.Confirmed.IsZero() {
			return struct{}{}, nil
		}
		<-changed
	}
}

// closePolicies closes all local policies.
func closePolicies(ctx context.Context) (any, error) {
	pending := 0
	for name, p := range followed {
		// What could not be reported is counted.
		_ = p.Close(ctx)
		status := p.Status()
		pending += status.Pending + status.Refused
		delete(followed, name)
	}
	return map[string]any{"pending": pending}, nil
}
