// Package signoff requests human approval for actions of agents, verifies it, and runs what was approved.
//
// [Client.Guard] does all of it in one call. The other methods of [Client] are the steps on their own.
// Package [signoff.dev/signoff/verifier] is the verifier alone, without a network.
package signoff

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"signoff.dev/signoff/verifier"
)

// RawJSON is a JSON text that is passed as it is, in place of a value.
type RawJSON = verifier.RawJSON

// timeoutDefault limits a call with its retries.
const timeoutDefault = 30 * time.Second

// Client calls the API of one server. Any number of goroutines may use it.
type Client struct {
	server address
	// name is the server as it is called in messages.
	name string
	// token returns the token; a function, because fmt prints the members of a struct.
	token   func() string
	http    *http.Client
	timeout time.Duration
	now     func() time.Time
	trust   *Trust
	pinned  verifier.Keyring
	// audience is the deployment that this process works for.
	audience string
	verifier func() (*verifier.Verifier, error)
}

// Option changes a client.
type Option func(*options)

type options struct {
	settings
	insecureHTTP bool
	timeout      time.Duration
	now          func() time.Time
	trust        *Trust
	verifier     *verifier.Verifier
}

// WithToken sets the token; otherwise it is SIGNOFF_TOKEN, or that of the user's home file.
func WithToken(token string) Option { return func(o *options) { o.token = token } }

// WithCA names a PEM file of certificate authorities that count in addition to the machine's; otherwise
// it is SIGNOFF_CA.
func WithCA(path string) Option { return func(o *options) { o.ca = path } }

// WithKeysFile names a file with the approvers' keys that [Client.Guard] pins, as [verifier.ReadKeyring]
// reads it; otherwise it is SIGNOFF_KEYS.
func WithKeysFile(path string) Option { return func(o *options) { o.keys = path } }

// WithAudience names the deployment that this process works for; otherwise it is SIGNOFF_AUDIENCE.
func WithAudience(audience string) Option { return func(o *options) { o.audience = audience } }

// WithTrust makes [Client.Guard] verify every approval offline, with these settings. A guard then fails
// if no keys are configured.
func WithTrust(trust Trust) Option { return func(o *options) { o.trust = &trust } }

// WithInsecureHTTP allows sending the token over plain HTTP to another machine, for networks that are
// encrypted otherwise.
func WithInsecureHTTP() Option { return func(o *options) { o.insecureHTTP = true } }

// WithTimeout limits each call with its retries, 30 s by default. The context may end it earlier.
func WithTimeout(limit time.Duration) Option { return func(o *options) { o.timeout = limit } }

// WithClock replaces the clock with which approvals are verified.
func WithClock(now func() time.Time) Option { return func(o *options) { o.now = now } }

// WithVerifier replaces the verifier, which is otherwise loaded by [verifier.New] when it is first needed.
func WithVerifier(v *verifier.Verifier) Option { return func(o *options) { o.verifier = v } }

// NewClient makes a client of a server: `http://…`, `https://…` or `unix:PATH`. If the URL is empty it is
// SIGNOFF_SERVER, or that of the user's home file, `client.json` in `$XDG_CONFIG_HOME/signoff`. It sends
// nothing yet.
//
// Errors, all ErrInvalid: a home file that other users can read or write; no or a malformed URL; a token
// that would be sent in the clear to another machine, or is malformed; unreadable authorities or keys.
func NewClient(url string, opts ...Option) (*Client, error) {
	o := options{timeout: timeoutDefault, now: time.Now}
	o.url = url
	for _, set := range opts {
		set(&o)
	}
	read, err := o.completed()
	if err != nil {
		return nil, err
	}
	o.settings = read
	server, err := parseAddress(o.url)
	if err != nil {
		return nil, err
	}
	if err := checkToken(o.token, server, o.insecureHTTP); err != nil {
		return nil, err
	}
	if o.timeout <= 0 {
		return nil, newError("request-invalid", "the timeout must be positive, it is %s", o.timeout)
	}
	transport, err := newHTTP(server, o.ca)
	if err != nil {
		return nil, err
	}
	token := o.token
	c := &Client{
		server: server, name: o.url, token: func() string { return token }, http: transport, timeout: o.timeout,
		now: o.now, trust: o.trust, audience: o.audience,
		verifier: func() (*verifier.Verifier, error) { return verifier.New() },
	}
	if o.verifier != nil {
		c.verifier = func() (*verifier.Verifier, error) { return o.verifier, nil }
	}
	if o.keys != "" {
		if c.pinned, err = verifier.ReadKeyring(o.keys); err != nil {
			return nil, newError("request-invalid", "%v", err).because(err)
		}
	}
	return c, nil
}

// checkToken refuses a token that cannot be sent, or only in the clear.
func checkToken(token string, server address, insecureHTTP bool) error {
	for index := range len(token) {
		if token[index] <= ' ' || token[index] > '~' {
			return newError("request-invalid", "malformed token: it contains invalid characters")
		}
	}
	if token != "" && !server.tls && !server.local && !insecureHTTP {
		return newError("request-invalid",
			"the token would be sent to %s in the clear; use https://, or WithInsecureHTTP if the network is encrypted otherwise",
			server.base)
	}
	return nil
}

// Format prints the server's URL and nothing else, for every verb.
func (c Client) Format(state fmt.State, _ rune) {
	_, _ = fmt.Fprintf(state, "signoff.Client(%s)", strings.TrimSpace(c.name))
}
