package verifier

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
)

// Key is an entry of a keyring. See wit/types.wit for the values of its members.
type Key struct {
	ID        string
	Algorithm string
	Material  Material
	Status    string
	Use       string
	// Approver is the person whom the key belongs to, empty for a key of profile v1.
	Approver string
	Groups   []string
}

// Material is a public key, a private seed or a secret, base64url without padding. It is never printed.
type Material string

const redacted = "[redacted]"

// String hides the material.
func (Material) String() string { return redacted }

// GoString hides the material.
func (Material) GoString() string { return redacted }

// Format hides the material from every verb.
func (Material) Format(state fmt.State, _ rune) { _, _ = state.Write([]byte(redacted)) }

// LogValue hides the material.
func (Material) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalJSON hides the material.
func (Material) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// Keyring is a list of keys.
type Keyring []Key

// wireKey is a key as the verifier reads it.
type wireKey struct {
	ID        string   `json:"id"`
	Algorithm string   `json:"algorithm"`
	Material  string   `json:"material"`
	Status    string   `json:"status"`
	Use       string   `json:"use"`
	Approver  *string  `json:"approver"`
	Groups    []string `json:"groups"`
}

func (k Key) wire() wireKey {
	var approver *string
	if k.Approver != "" {
		approver = &k.Approver
	}
	return wireKey{k.ID, k.Algorithm, string(k.Material), k.Status, k.Use, approver, list(k.Groups)}
}

func (k Keyring) wire() []wireKey {
	keys := make([]wireKey, len(k))
	for index, key := range k {
		keys[index] = key.wire()
	}
	return keys
}

// entry is a key in a file: `material`, or `public_key` as `signoff key list --json` prints it.
type entry struct {
	ID        string   `json:"id"`
	Algorithm string   `json:"algorithm"`
	Material  string   `json:"material"`
	PublicKey string   `json:"public_key"`
	Status    string   `json:"status"`
	Use       string   `json:"use"`
	Approver  *string  `json:"approver"`
	Groups    []string `json:"groups"`
	// Private is a text in a keyring file; `signoff key list` prints true or false.
	Private any `json:"private"`
}

// ParseKeyring reads approvers' keys as `signoff key generate` prints them (one entry, or a list), as a
// keyring file has them (`{"keys": […]}`), or as `signoff key list --json` prints them
// (`{"items": […]}`). Keys with another use are left out, and secrets, which `key list` does not show.
//
// Errors: another form; a private key; no key of an approver; two keys with one id. They quote nothing of the text,
// which may hold a secret in the wrong place.
func ParseKeyring(text []byte) (Keyring, error) {
	keys, err := keysFor("approve", text)
	if err == nil && len(keys) == 0 {
		err = errors.New("keyring: it contains no key of an approver")
	}
	if err != nil {
		return nil, err
	}
	return keys, nil
}

// ParseSigners reads the keys of those who sign modules, in the forms that [ParseKeyring] reads. Keys with
// another use are left out. Without any, no module is trusted.
//
// Errors: another form; a private key; two keys with one id.
func ParseSigners(text []byte) (Keyring, error) {
	return keysFor("module", text)
}

// keysFor reads the keys with one use.
func keysFor(use string, text []byte) (Keyring, error) {
	entries, err := entriesOf(text)
	if err != nil {
		return nil, err
	}
	keys := Keyring{}
	for _, entry := range entries {
		if _, isText := entry.Private.(string); isText {
			return nil, errPrivate
		}
		key, err := entry.key()
		if err != nil {
			return nil, err
		}
		if key.Use != use || key.Material == "" {
			continue
		}
		if slices.ContainsFunc(keys, func(other Key) bool { return other.ID == key.ID }) {
			return nil, errors.New("keyring: two keys have the same id")
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// errPrivate is the refusal of keys that could also sign.
var errPrivate = errors.New(
	"the keys contain a private key: pin public keys only, as `signoff key list --json` prints them")

// errForm is the refusal of a keyring of another form.
var errForm = errors.New("keyring: expected entries of id, algorithm, material, status, use, approver and groups")

func entriesOf(text []byte) ([]entry, error) {
	text = asList(text)
	var entries []entry
	if json.Unmarshal(text, &entries) == nil {
		return entries, nil
	}
	var lists struct {
		Keys  []entry `json:"keys"`
		Items []entry `json:"items"`
	}
	var one entry
	switch {
	case json.Unmarshal(text, &lists) != nil:
		return nil, errForm
	case lists.Keys != nil && lists.Items == nil:
		return lists.Keys, nil
	case lists.Items != nil && lists.Keys == nil:
		return lists.Items, nil
	case json.Unmarshal(text, &one) != nil || one.ID == "":
		return nil, errForm
	}
	return []entry{one}, nil
}

// asList makes one list of entries that stand in lines of their own, as files put together have them.
func asList(text []byte) []byte {
	var lines [][]byte
	for line := range bytes.Lines(text) {
		line = bytes.TrimSpace(line)
		if len(line) == 0 {
			continue
		}
		if line[0] != '{' || line[len(line)-1] != '}' {
			return text
		}
		lines = append(lines, line)
	}
	if len(lines) < 2 {
		return text
	}
	return append(append([]byte{'['}, bytes.Join(lines, []byte{','})...), ']')
}

func (e entry) key() (Key, error) {
	material := e.Material
	if material == "" {
		material = e.PublicKey
	}
	key := Key{
		ID: e.ID, Algorithm: e.Algorithm, Material: Material(material), Status: e.Status, Use: e.Use, Groups: e.Groups,
	}
	if e.Approver != nil {
		key.Approver = *e.Approver
	}
	if key.ID == "" || key.Algorithm == "" || key.Status == "" || key.Use == "" || e.Material != "" && e.PublicKey != "" {
		return Key{}, errForm
	}
	return key, nil
}

// keyringBytesMax is the size of the largest keyring file, in bytes.
const keyringBytesMax = 4 << 20

// ReadKeyring reads a file as [ParseKeyring] does.
//
// Errors: the file cannot be read, or is larger than 4 MiB; as ParseKeyring.
func ReadKeyring(path string) (Keyring, error) {
	return readKeys(path, ParseKeyring)
}

// ReadSigners reads a file as [ParseSigners] does.
//
// Errors: the file cannot be read, or is larger than 4 MiB; as ParseSigners.
func ReadSigners(path string) (Keyring, error) {
	return readKeys(path, ParseSigners)
}

func readKeys(path string, parse func([]byte) (Keyring, error)) (Keyring, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > keyringBytesMax {
		return nil, fmt.Errorf("keyring `%s`: expected a file of at most %d bytes", path, keyringBytesMax)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	keys, err := parse(text)
	if err != nil {
		return nil, fmt.Errorf("`%s`: %w", path, err)
	}
	return keys, nil
}
