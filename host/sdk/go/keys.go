package signoff

import (
	"context"
	"net/http"
)

// ServerKey is a key as the server shows it, without secrets. It is the server's word.
type ServerKey struct {
	ID          string   `json:"id"`
	Algorithm   string   `json:"algorithm"`
	Status      string   `json:"status"`
	Use         string   `json:"use"`
	Approver    string   `json:"approver"`
	Groups      []string `json:"groups"`
	Fingerprint string   `json:"fingerprint"`
	// PublicKey is base64url without padding, empty for a secret.
	PublicKey string `json:"public_key"`
}

// Keys returns the keys that the server knows. To verify offline, pin keys that come from elsewhere.
//
// Errors: ErrForbidden, ErrUnavailable, ErrTimedOut.
func (c *Client) Keys(ctx context.Context) ([]ServerKey, error) {
	text, err := c.send(ctx, call{method: http.MethodGet, path: "/api/v1/keys"})
	if err != nil {
		return nil, err
	}
	list, err := decoded[struct {
		Items *[]ServerKey `json:"items"`
	}](text)
	if err != nil {
		return nil, err
	}
	if list.Items == nil {
		return nil, newError("unreachable", "the answer is not a list of keys")
	}
	return *list.Items, nil
}
