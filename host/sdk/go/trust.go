package signoff

import (
	"context"
	"errors"
	"net/http"
	"slices"

	"signoff.dev/signoff/verifier"
)

// Trust is what an executor trusts when it verifies offline. All of it is the executor's own: nothing is
// taken from a server.
type Trust struct {
	// Keys are the approvers' keys that count; nil stands for the keys file of the client's settings.
	Keys verifier.Keyring
	// Audience is the deployment that the executor works for; empty stands for that of the settings.
	Audience string
	// Floor is the least that an approval must have required. A guard requests it too, where the [Action]
	// requires less.
	Floor *verifier.Floor
	// Accept lists the profiles that count; nil stands for v2 alone. Accepting v1 means trusting the
	// server for all but id, decision, approver and expiry.
	Accept []string
	// Policies are digests of policies, one of which must have set the requirement; nil accepts any.
	Policies []string
	// AllowHMAC lets secrets count too, with which whoever verifies can also sign.
	AllowHMAC bool
}

// trusted returns what a guard verifies with, or nil if it trusts the server. The settings of one action
// come before those of the client.
//
// Errors: ErrInvalid if keys or audience are required and missing, or the floor is malformed.
func (c *Client) trusted(own *Trust) (*Trust, error) {
	required := own
	if required == nil {
		required = c.trust
	}
	if required == nil && c.pinned == nil {
		return nil, nil
	}
	var trust Trust
	if required != nil {
		trust = *required
	}
	if trust.Keys == nil {
		trust.Keys = c.pinned
	}
	if trust.Audience == "" {
		trust.Audience = c.audience
	}
	if len(trust.Keys) == 0 {
		return nil, newError("request-invalid", "no pinned keys: set Trust.Keys, WithKeysFile or SIGNOFF_KEYS")
	}
	if trust.Audience == "" {
		return nil, newError("request-invalid", "pinned keys need an audience: set WithAudience or SIGNOFF_AUDIENCE")
	}
	if err := checkFloor(trust.Floor); err != nil {
		return nil, err
	}
	trust.Keys = slices.Clone(trust.Keys)
	if !trust.AllowHMAC {
		trust.Keys = slices.DeleteFunc(trust.Keys, func(key verifier.Key) bool { return key.Algorithm == "hmac-sha256" })
	}
	return &trust, nil
}

// strictKeys returns pinned keys with what the server says against them: a key that it lists as revoked
// does not count, and groups count only if both name them. A caller that may not read the server's keys
// gets the pinned ones.
func (c *Client) strictKeys(ctx context.Context, pinned verifier.Keyring) (verifier.Keyring, error) {
	shown, err := c.Keys(ctx)
	var refused *Error
	if errors.As(err, &refused) && (refused.Status == http.StatusForbidden || refused.Status == http.StatusNotFound) {
		return pinned, nil
	}
	if err != nil {
		return nil, err
	}
	keys := slices.Clone(pinned)
	for index := range keys {
		for _, other := range shown {
			restrict(&keys[index], other)
		}
	}
	return keys, nil
}

// restrict applies what the server says about a key, by its id or its material.
func restrict(key *verifier.Key, shown ServerKey) {
	sameMaterial := shown.PublicKey != "" && shown.PublicKey == string(key.Material)
	if shown.ID != key.ID && !sameMaterial {
		return
	}
	if shown.Status == "revoked" {
		key.Status = "revoked"
	}
	// In a list of its own: the caller's keyring is not changed.
	key.Groups = slices.DeleteFunc(slices.Clone(key.Groups), func(group string) bool {
		return !slices.Contains(shown.Groups, group)
	})
}
