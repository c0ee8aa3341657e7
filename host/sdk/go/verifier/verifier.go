// Package verifier contains the signoff verifier: one WebAssembly component that makes every decision
// about trust, offline and without side effects.
//
//	v, err := verifier.New()
//	digest, err := v.Digest(map[string]any{"target": "prod", "replicas": 3})
//
// A refusal is a [*Rejection] with a stable code. A failure of the verifier itself is [ErrTrapped], and
// never an answer.
package verifier

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"unicode/utf8"

	"signoff.dev/signoff/internal/fault"
	"signoff.dev/signoff/internal/strict"
	"signoff.dev/signoff/internal/wasm"
)

// RequestBytesMax is the size of the largest request, in bytes.
const RequestBytesMax = 16 << 20

// ErrTrapped says that the verifier stopped in the middle of a call. Nothing was decided.
var ErrTrapped = errors.New("the verifier trapped")

// Rejection is the verifier's refusal.
type Rejection struct {
	// Code is one of the codes of wit/codes.md.
	Code string
	// Message is one sentence for a person. It may quote what an agent or a server sent.
	Message string
}

// Error returns the code and the message, with everything unprintable in them escaped.
func (r *Rejection) Error() string {
	return strict.Printable(r.Code) + ": " + strict.Printable(r.Message)
}

// RawJSON is a JSON text that is passed as it is, in place of a value.
type RawJSON = json.RawMessage

// Verifier calls the verifier component. Any number of goroutines may use it; all verifiers of a
// process share the compiled module.
type Verifier struct {
	pool *pool
}

// Option changes how [New] loads the verifier.
type Option func(*options)

type options struct {
	cache func() string
}

// CacheDir keeps compiled code in this folder, which other users must not be able to write: the code in
// it is executed. Without this option it is a private folder below [os.UserCacheDir], and nothing is
// cached if there is no such folder.
func CacheDir(path string) Option {
	return func(o *options) { o.cache = func() string { return path } }
}

// NoCache compiles the verifier in each process, which takes about 0.3 s.
func NoCache() Option {
	return CacheDir("")
}

// New loads the verifier. The first call in a process compiles it, or reads it from the cache; later
// calls return at once.
func New(opts ...Option) (*Verifier, error) {
	o := options{cache: wasm.UserCache}
	for _, set := range opts {
		set(&o)
	}
	loaded, err := embedded(o.cache())
	if err != nil {
		return nil, err
	}
	return &Verifier{newPool(loaded)}, nil
}

func init() {
	fault.Trap = func(v any) error { return v.(*Verifier).trap() }
}

// DigestOfModule returns the SHA-256 of the component, in lower-case hex. A server of the same version
// shows it as `verifier`.
func DigestOfModule() string {
	return digestOfModule()
}

var digestOfModule = sync.OnceValue(func() string {
	digest := sha256.Sum256(component)
	return hex.EncodeToString(digest[:])
})

// CallText sends a request of wit/wire.wit and returns the answer; both are JSON texts. A rejection is
// an answer too. A request that is larger than [RequestBytesMax] or not UTF-8 is answered as the module
// would, without calling it: the module trusts its host for both.
//
// Errors: [ErrTrapped].
func (v *Verifier) CallText(request string) (string, error) {
	if len(request) > RequestBytesMax {
		return refused("limit-exceeded", "request is %d bytes, the limit is %d", len(request), RequestBytesMax), nil
	}
	if !utf8.ValidString(request) {
		return refused("request-invalid", "request is not UTF-8 at byte %d", validBytes(request)), nil
	}
	var answer string
	err := v.pool.use(func(lent *instance) (err error) {
		answer, err = lent.answer(request)
		return err
	})
	if err == nil && !utf8.ValidString(answer) {
		err = errors.New("the answer is not UTF-8")
	}
	if err != nil {
		return "", trapped("%w", err)
	}
	return answer, nil
}

// Call calls an operation of wit/wire.wit, such as `context.digest`, and returns the value of `ok` as
// JSON. The arguments are encoded strictly, as a context is.
//
// Errors: a [*Rejection], [ErrTrapped].
func (v *Verifier) Call(op string, args any) (json.RawMessage, error) {
	return into[json.RawMessage](v, op, args)
}

// into calls an operation and decodes the value of `ok`.
func into[T any](v *Verifier, op string, args any) (T, error) {
	var none T
	request := struct {
		Op   string `json:"op"`
		Args any    `json:"args"`
	}{op, args}
	text, err := strict.Encode("request", request, RequestBytesMax)
	if err != nil {
		return none, &Rejection{"request-invalid", err.Error()}
	}
	answer, err := v.CallText(text)
	if err != nil {
		return none, err
	}
	var read struct {
		OK    *T         `json:"ok"`
		Error *Rejection `json:"error"`
	}
	if err := json.Unmarshal([]byte(answer), &read); err != nil {
		return none, trapped("the answer to `%s` has another form: %w", op, err)
	}
	switch {
	case read.Error != nil && read.Error.Code != "" && read.OK == nil:
		return none, read.Error
	case read.Error == nil && read.OK != nil:
		return *read.OK, nil
	default:
		return none, trapped("the answer to `%s` is neither `ok` nor `error`", op)
	}
}

// trap requests more memory than an instance may have, which stops the module in the middle of a call.
func (v *Verifier) trap() error {
	err := v.pool.use(func(lent *instance) error {
		_, err := lent.run(lent.realloc, 0, 0, 1, 0x7fff_ffff)
		return err
	})
	if err == nil {
		return nil
	}
	return trapped("%w", err)
}

// refused is the answer of a rejection. The message needs no escapes.
func refused(code, format string, values ...any) string {
	return fmt.Sprintf(`{"error":{"code":"%s","message":"%s"}}`, code, fmt.Sprintf(format, values...))
}

// validBytes returns the length of the UTF-8 that a text begins with.
func validBytes(text string) int {
	for index, char := range text {
		if _, size := utf8.DecodeRuneInString(text[index:]); char == utf8.RuneError && size == 1 {
			return index
		}
	}
	return len(text)
}

func trapped(format string, values ...any) error {
	return fmt.Errorf("%w: %w", ErrTrapped, fmt.Errorf(format, values...))
}
