package verifier

import "time"

// ManifestCheck is what [Verifier.VerifyManifest] compares a manifest with.
type ManifestCheck struct {
	// Digest is the SHA-256 of the bytes that the caller has, in lower-case hex.
	Digest string
	// Slot is the role that the module is to have, `policy` or `verifier`.
	Slot string
	// Audience is the deployment that it is to run in; empty compares none.
	Audience string
	// Signers are the keys that count, and revoked ones, whose material counts under no id.
	Signers Keyring
}

// Manifest is what the signer of a module says about it.
type Manifest struct {
	KeyID   string `json:"key_id"`
	Digest  string `json:"digest"`
	Slot    string `json:"slot"`
	Name    string `json:"name"`
	Version uint64 `json:"version"`
	Limits  Limits `json:"limits"`
	// Facts are the names of the facts that the module reads.
	Facts []string `json:"facts"`
	// Audience lists the deployments that it may run in; empty for any.
	Audience []string  `json:"audience"`
	Created  time.Time `json:"created"`
}

// Limits are those of one evaluation.
type Limits struct {
	Fuel        uint64 `json:"fuel"`
	MemoryBytes uint64 `json:"memory_bytes"`
}

// VerifyManifest verifies the signed manifest of a module, a JSON text exactly as it came.
//
// Errors: a [*Rejection] with a code of manifest.verify in wit/manifest.wit, which lists them in order;
// [ErrTrapped].
func (v *Verifier) VerifyManifest(manifest string, check ManifestCheck) (*Manifest, error) {
	verified, err := into[Manifest](v, "manifest.verify", struct {
		Manifest string    `json:"manifest"`
		Digest   string    `json:"digest"`
		Slot     string    `json:"slot"`
		Audience string    `json:"audience,omitempty"`
		Keys     []wireKey `json:"keys"`
	}{manifest, check.Digest, check.Slot, check.Audience, check.Signers.wire()})
	if err != nil {
		return nil, err
	}
	return &verified, nil
}
