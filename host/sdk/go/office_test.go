package signoff_test

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"signoff.dev/signoff"
	"signoff.dev/signoff/verifier"
)

const audience = "examples"

// office is a server in this process: the verifier's own state machine behind the routes that a guard
// uses. Hooks let a test decide requests and falsify answers.
type office struct {
	t        *testing.T
	url      string
	verifier *verifier.Verifier
	people   []person

	mutex   sync.Mutex
	records map[string]*record
	count   int
	// requests are all that came, as `METHOD path`.
	requests []string
	headers  []http.Header
	outcomes []map[string]any

	// decide casts ballots on a new approval; nil lets all people approve.
	decide func(*record)
	// lie falsifies a view; route is `create`, `show`, `execute` or `outcome`.
	lie func(route string, view map[string]any)
	// instead answers in place of the server if it returns a status.
	instead func(route string, w http.ResponseWriter, r *http.Request) (done bool)
	// weakens drops what requests require.
	weakens bool
	// keys are what `GET /keys` shows; nil is a 403.
	keys []map[string]any
}

type record struct {
	office            *office
	id, text, context string
	plan              string
	key               string
}

// person is an approver with an Ed25519 key.
type person struct {
	name string
	seed [32]byte
	keys verifier.Keyring
}

func newPerson(name string, groups ...string) person {
	p := person{name: name, seed: sha256.Sum256([]byte(name))}
	public := ed25519.NewKeyFromSeed(p.seed[:]).Public().(ed25519.PublicKey)
	p.keys = verifier.Keyring{{
		ID: name, Algorithm: "ed25519", Material: verifier.Material(base64.RawURLEncoding.EncodeToString(public)),
		Status: "active", Use: "approve", Approver: name + "@company.com", Groups: groups,
	}}
	return p
}

func newOffice(t *testing.T) *office {
	t.Helper()
	v, err := verifier.New()
	if err != nil {
		t.Fatal(err)
	}
	o := &office{
		t: t, verifier: v, records: map[string]*record{},
		people: []person{newPerson("ann", "sre"), newPerson("ben", "sre")},
	}
	server := httptest.NewServer(http.HandlerFunc(o.serve))
	t.Cleanup(server.Close)
	o.url = server.URL
	return o
}

// pinned are the public keys of all people.
func (o *office) pinned() verifier.Keyring {
	var keys verifier.Keyring
	for _, p := range o.people {
		keys = append(keys, p.keys...)
	}
	return keys
}

// client is one that pins these keys.
func (o *office) client(options ...signoff.Option) *signoff.Client {
	o.t.Helper()
	options = append([]signoff.Option{
		signoff.WithToken("sgnt_secret"), signoff.WithAudience(audience), signoff.WithTrust(signoff.Trust{Keys: o.pinned()}),
	}, options...)
	return newClient(o.t, o.url, options...)
}

// newClient makes a client that no setting of this machine reaches.
func newClient(t testing.TB, url string, options ...signoff.Option) *signoff.Client {
	t.Helper()
	isolate(t)
	client, err := signoff.NewClient(url, options...)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// isolate hides the settings of this machine.
func isolate(t testing.TB) {
	t.Helper()
	for _, name := range []string{"SERVER", "TOKEN", "CA", "KEYS", "AUDIENCE"} {
		t.Setenv("SIGNOFF_"+name, "")
	}
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
}

func (o *office) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	o.mutex.Lock()
	o.requests = append(o.requests, r.Method+" "+r.URL.Path)
	o.headers = append(o.headers, r.Header)
	o.mutex.Unlock()
	words := strings.Split(strings.TrimPrefix(r.URL.Path, "/api/v1/"), "/")
	route := words[len(words)-1]
	switch {
	case len(words) == 1 && words[0] == "approvals":
		route = "create"
	case len(words) == 2 && words[0] == "approvals":
		route = "show"
	}
	if o.instead != nil && o.instead(route, w, r) {
		return
	}
	o.mutex.Lock()
	defer o.mutex.Unlock()
	switch route {
	case "create":
		o.create(w, r, body)
	case "keys":
		if o.keys == nil {
			problem(w, 403, "forbidden", "not for you")
			return
		}
		respond(w, 200, map[string]any{"items": o.keys})
	default:
		found := o.records[words[1]]
		if found == nil {
			problem(w, 404, "not-found", "no such approval")
			return
		}
		o.step(w, found, route, r, body)
	}
}

func (o *office) create(w http.ResponseWriter, r *http.Request, body []byte) {
	var asked struct {
		Agent, Action, Reason string
		Context, Plan         json.RawMessage
		ExpiresIn             int64 `json:"expires_in_seconds"`
		Requirement           json.RawMessage
	}
	if err := json.Unmarshal(body, &asked); err != nil {
		problem(w, 422, "request-invalid", err.Error())
		return
	}
	if o.weakens {
		asked.Requirement, asked.ExpiresIn = nil, 0
	}
	key := r.Header.Get("Idempotency-Key")
	for _, known := range o.records {
		if known.key == key {
			o.show(w, known, "create", 201)
			return
		}
	}
	o.count++
	made := &record{office: o, id: fmt.Sprintf("appr_01k7s2e3m8q4w6x9%010d", o.count+int(time.Now().UnixNano()%1e8)), key: key}
	request := map[string]any{
		"id": made.id, "audience": audience, "agent": asked.Agent, "action": asked.Action, "requested_by": "agent:" + asked.Agent,
	}
	if asked.Reason != "" {
		request["reason"] = asked.Reason
	}
	if asked.Requirement != nil {
		request["requirement"] = asked.Requirement
	}
	if asked.ExpiresIn != 0 {
		request["ttl_seconds"] = asked.ExpiresIn
	}
	args := map[string]any{"request": encoded(request), "context": string(asked.Context), "accept": []string{"v2"}}
	if asked.Plan != nil {
		args["plan"] = string(asked.Plan)
	}
	opened, err := o.call(made, "lifecycle.open", args)
	if err != nil {
		problem(w, 422, "request-invalid", err.Error())
		return
	}
	made.context, made.plan = opened.Context, opened.Plan
	o.records[made.id] = made
	if o.decide == nil {
		made.approve(o.people...)
	} else {
		o.decide(made)
	}
	o.show(w, made, "create", 201)
}

func (o *office) step(w http.ResponseWriter, found *record, route string, r *http.Request, body []byte) {
	var err error
	actor := map[string]any{"subject": "agent:deployer", "roles": []string{"requester", "executor"}}
	switch route {
	case "show":
	case "execute":
		var asked struct {
			Agent, Action string
			Context, Plan json.RawMessage
			Lease         int64 `json:"lease_seconds"`
		}
		if err = json.Unmarshal(body, &asked); err != nil {
			break
		}
		claim := map[string]any{
			"agent": asked.Agent, "action": asked.Action, "claimed_by": "agent:" + asked.Agent,
			"execution_id": "exec_" + strings.TrimPrefix(found.id, "appr_"),
		}
		if asked.Lease != 0 {
			claim["lease_seconds"] = asked.Lease
		}
		args := map[string]any{
			"id": found.id, "approval": found.text, "claim": encoded(claim), "context": string(asked.Context),
			"keys": o.wireKeys(), "accept": []string{"v2"},
		}
		if asked.Plan != nil {
			args["plan"] = string(asked.Plan)
		}
		_, err = o.call(found, "lifecycle.claim", args)
	case "outcome":
		var asked map[string]any
		if err = json.Unmarshal(body, &asked); err != nil {
			break
		}
		o.outcomes = append(o.outcomes, asked)
		asked["actor"] = actor
		_, err = o.call(found, "lifecycle.settle", map[string]any{
			"id": found.id, "approval": found.text, "outcome": encoded(asked),
		})
	case "withdraw":
		_, err = o.call(found, "lifecycle.withdraw", map[string]any{
			"id": found.id, "approval": found.text, "withdrawal": encoded(map[string]any{"actor": actor}),
		})
	default:
		err = fmt.Errorf("no route %s", r.URL.Path)
	}
	if err != nil {
		problem(w, 409, strings.SplitN(err.Error(), ":", 2)[0], err.Error())
		return
	}
	o.show(w, found, route, 200)
}

type transition struct{ Record, View, Context, Plan string }

// call makes a transition and stores it.
func (o *office) call(of *record, op string, args map[string]any) (transition, error) {
	args["now"] = time.Now().Unix()
	ok, err := o.verifier.Call(op, args)
	if err != nil {
		return transition{}, err
	}
	var made transition
	if err := json.Unmarshal(ok, &made); err != nil {
		return made, err
	}
	if made.Record != "" {
		of.text = made.Record
	}
	return made, nil
}

func (o *office) show(w http.ResponseWriter, of *record, route string, status int) {
	shown, err := o.call(of, "lifecycle.show", map[string]any{"id": of.id, "approval": of.text})
	if err != nil {
		problem(w, 500, "internal-error", err.Error())
		return
	}
	var view map[string]any
	if err := json.Unmarshal([]byte(shown.View), &view); err != nil {
		problem(w, 500, "internal-error", err.Error())
		return
	}
	view["context"] = json.RawMessage(of.context)
	if of.plan != "" {
		view["plan"] = json.RawMessage(of.plan)
	}
	view["verifier"] = verifier.DigestOfModule()
	view["of_a_later_version"] = true
	if o.lie != nil {
		o.lie(route, view)
	}
	respond(w, status, view)
}

func (o *office) wireKeys() []map[string]any {
	var keys []map[string]any
	for _, key := range o.pinned() {
		keys = append(keys, map[string]any{
			"id": key.ID, "algorithm": key.Algorithm, "material": string(key.Material), "status": key.Status, "use": key.Use,
			"approver": key.Approver, "groups": key.Groups,
		})
	}
	return keys
}

// approve casts ballots; more than the request needs are left out.
func (r *record) approve(people ...person) {
	for _, p := range people {
		if r.status() == "pending" {
			r.cast(p, "approved", "")
		}
	}
}

func (r *record) status() string {
	var read struct{ Status string }
	if err := json.Unmarshal([]byte(r.text), &read); err != nil {
		r.office.t.Error(err)
	}
	return read.Status
}

func (r *record) cast(p person, decision, comment string) {
	o := r.office
	read, err := o.verifier.Call("signing.statement", map[string]any{
		"id": r.id, "approval": r.text, "decision": decision, "approver": p.keys[0].Approver, "key_id": p.name, "comment": comment,
	})
	var statement struct{ Statement verifier.Statement }
	if err == nil {
		err = json.Unmarshal(read, &statement)
	}
	if err != nil {
		o.t.Error(err)
		return
	}
	seed := p.keys[0]
	seed.Material = verifier.Material(base64.RawURLEncoding.EncodeToString(p.seed[:]))
	signature, err := o.verifier.Sign(statement.Statement, "v2", seed)
	if err != nil {
		o.t.Error(err)
		return
	}
	ballot := map[string]any{"decision": decision, "approver": p.keys[0].Approver, "signature": signature}
	if comment != "" {
		ballot["comment"] = comment
	}
	_, err = o.call(r, "lifecycle.decide", map[string]any{
		"id": r.id, "approval": r.text, "ballot": encoded(ballot), "keys": o.wireKeys(), "accept": []string{"v2"},
	})
	if err != nil {
		o.t.Error(err)
	}
}

// seen counts requests whose method and path end so.
func (o *office) seen(method, end string) int {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	count := 0
	for _, request := range o.requests {
		if strings.HasPrefix(request, method+" ") && strings.HasSuffix(request, end) {
			count++
		}
	}
	return count
}

func encoded(value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	return string(text)
}

func respond(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Request-Id", "test-request")
	w.WriteHeader(status)
	fmt.Fprintln(w, encoded(value))
}

func problem(w http.ResponseWriter, status int, code, detail string) {
	respond(w, status, map[string]any{"code": code, "title": "Title", "status": status, "detail": detail})
}
