package signoff_test

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"signoff.dev/signoff"
)

// home writes the user's home file and returns its folder.
func home(t *testing.T, mode os.FileMode, members map[string]string) string {
	t.Helper()
	isolate(t)
	folder := filepath.Join(os.Getenv("XDG_CONFIG_HOME"), "signoff")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(members)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(folder, "client.json")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return folder
}

// tokens is a server that remembers the last token.
func tokens(t *testing.T) (url string, last *string) {
	t.Helper()
	last = new(string)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		*last = r.Header.Get("Authorization")
		fmt.Fprint(w, someApproval)
	}))
	t.Cleanup(server.Close)
	return server.URL, last
}

func TestSettingsComeFromOptionsThenEnvironmentThenHome(t *testing.T) {
	url, last := tokens(t)
	get := func(expected, given string, options ...signoff.Option) {
		t.Helper()
		client, err := signoff.NewClient(given, options...)
		if err == nil {
			_, err = client.Get(context.Background(), someID)
		}
		if err != nil || *last != expected {
			t.Errorf("expected `%s`, found `%s`, %v", expected, *last, err)
		}
	}
	home(t, 0o600, map[string]string{"server": url, "token": "home", "unknown": "x"})
	get("Bearer home", "")
	get("Bearer home", url)
	t.Setenv("SIGNOFF_TOKEN", "environment")
	get("Bearer environment", "")
	get("Bearer option", "", signoff.WithToken("option"))
	t.Setenv("SIGNOFF_SERVER", "http://127.0.0.1:1")
	get("Bearer option", url, signoff.WithToken("option"))
}

func TestTokenAndAuthoritiesOfTheHomeFileAreForItsServerOnly(t *testing.T) {
	url, last := tokens(t)
	for _, server := range []string{"https://signoff.example", ""} {
		home(t, 0o600, map[string]string{"server": server, "token": "home"})
		t.Setenv("SIGNOFF_SERVER", url)
		for _, given := range []string{url, ""} {
			client, err := signoff.NewClient(given)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := client.Get(context.Background(), someID); err != nil || *last != "" {
				t.Errorf("`%s` was sent, %v", *last, err)
			}
		}
	}
	// The file of authorities is not there: only the client that would use it fails.
	home(t, 0o600, map[string]string{"server": "https://signoff.example", "ca": "missing.pem"})
	if _, err := signoff.NewClient("https://other.example"); err != nil {
		t.Error(err)
	}
	_, err := signoff.NewClient("https://signoff.example")
	is(t, err, signoff.ErrInvalid, "request-invalid")
}

func TestAHomeFileThatOthersCanUseIsRefused(t *testing.T) {
	for _, mode := range []os.FileMode{0o640, 0o604, 0o620, 0o602, 0o610} {
		home(t, mode, map[string]string{"server": "http://127.0.0.1:1", "token": "hometoken"})
		_, err := signoff.NewClient("")
		if known := is(t, err, signoff.ErrInvalid, "request-invalid"); strings.Contains(known.Error(), "hometoken") {
			t.Error(known)
		}
	}
	folder := home(t, 0o600, nil)
	for _, text := range []string{"", "[]", `{"token": 7}`, `{"token": "hometoken"`} {
		if err := os.WriteFile(filepath.Join(folder, "client.json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := signoff.NewClient("http://127.0.0.1:1")
		if known := is(t, err, signoff.ErrInvalid, "request-invalid"); strings.Contains(known.Error(), "hometoken") {
			t.Error(known)
		}
	}
}

func TestKeysOfTheHomeFileArePinned(t *testing.T) {
	o := newOffice(t)
	folder := home(t, 0o600, map[string]string{"server": o.url, "token": "x", "keys": "keys.json", "audience": audience})
	keys := encoded(o.wireKeys())
	if err := os.WriteFile(filepath.Join(folder, "keys.json"), []byte(keys), 0o600); err != nil {
		t.Fatal(err)
	}
	client, err := signoff.NewClient("")
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := guarded(client, deploy()); err != nil || o.seen("GET", "/keys") != 1 {
		t.Error(err, o.requests)
	}
	if err := os.WriteFile(filepath.Join(folder, "keys.json"), []byte("[]"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = signoff.NewClient("")
	is(t, err, signoff.ErrInvalid, "request-invalid")
}

func TestAddresses(t *testing.T) {
	isolate(t)
	for _, url := range []string{
		"", "/", "localhost", "ftp://a", "http://", "unix:", "http://a b", "http://a/?b=c", "http://a/#b", "http://a\n", "file:///x",
	} {
		_, err := signoff.NewClient(url)
		is(t, err, signoff.ErrInvalid, "request-invalid")
	}
	_, err := signoff.NewClient("https://user:hunter2@signoff.example")
	if known := is(t, err, signoff.ErrInvalid, "request-invalid"); strings.Contains(known.Error(), "hunter2") {
		t.Error(known)
	}
	token := signoff.WithToken("sgnt_secret")
	for _, url := range []string{
		"http://10.0.0.1:8787", "http://signoff.example", "http://127.0.0.1.evil.example",
		// Resolvers may take these for this machine; they count as another one.
		"http://2130706433", "http://0x7f000001", "http://0x7f.1", "http://127.1", "http://0177.0.0.1", "http://localhost.",
		"http://[::ffff:10.0.0.1]", "http://[::127.0.0.1]",
	} {
		_, err := signoff.NewClient(url, token)
		is(t, err, signoff.ErrInvalid, "request-invalid")
		if _, err := signoff.NewClient(url, token, signoff.WithInsecureHTTP()); err != nil {
			t.Error(err)
		}
		if _, err := signoff.NewClient(url); err != nil {
			t.Error(err)
		}
	}
	for _, url := range []string{
		"http://127.0.0.1:1", "http://localhost", "http://LocalHost", "http://[::1]:1", "http://[::ffff:127.0.0.1]:1",
		"https://signoff.example",
	} {
		if _, err := signoff.NewClient(url, token); err != nil {
			t.Error(err)
		}
	}
}

// noProxy names the server that a process of its own calls, because net/http reads the environment's proxy once.
const noProxy = "SIGNOFF_TEST_NO_PROXY_FOR"

func TestThisMachineIsReachedWithoutAProxy(t *testing.T) {
	if url := os.Getenv(noProxy); url != "" {
		client := newClient(t, url, signoff.WithToken("sgnt_secret"), signoff.WithInsecureHTTP())
		if _, err := client.Get(context.Background(), someID); err != nil {
			t.Fatal(url, err)
		}
		return
	}
	isolate(t)
	server, _ := tokens(t)
	port := server[strings.LastIndex(server, ":"):]
	seen := make(chan string, 100)
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen <- r.URL.String()
		fmt.Fprint(w, someApproval)
	}))
	t.Cleanup(proxy.Close)
	call := func(url string) {
		t.Helper()
		command := exec.Command(os.Args[0], "-test.run=^TestThisMachineIsReachedWithoutAProxy$")
		command.Env = append(os.Environ(), "HTTP_PROXY="+proxy.URL, "NO_PROXY=", "no_proxy=", noProxy+"="+url)
		if output, err := command.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", url, err, output)
		}
	}
	for _, host := range []string{"127.0.0.1", "localhost", "LOCALHOST", "LocalHost", "[::ffff:127.0.0.1]"} {
		call("http://" + host + port)
	}
	if len(seen) != 0 {
		t.Errorf("the proxy saw %d requests, the first to %s", len(seen), <-seen)
	}
	call("http://signoff.invalid")
	if len(seen) != 1 {
		t.Error("the proxy does not count for another machine")
	}
}

func TestAuthoritiesOfAFile(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, someApproval) }))
	t.Cleanup(server.Close)
	path := filepath.Join(t.TempDir(), "ca.pem")
	block := pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}
	if err := os.WriteFile(path, pem.EncodeToMemory(&block), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := newClient(t, server.URL, signoff.WithCA(path)).Get(context.Background(), someID); err != nil {
		t.Error(err)
	}
	_, err := newClient(t, server.URL).Get(context.Background(), someID)
	is(t, err, signoff.ErrUnavailable, "unreachable")
	if err := os.WriteFile(path, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{path, path + ".missing"} {
		_, err = signoff.NewClient(server.URL, signoff.WithCA(path))
		is(t, err, signoff.ErrInvalid, "request-invalid")
	}
}

func TestUnixSockets(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, someApproval) })}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	client := newClient(t, "unix:"+path, signoff.WithToken("sgnt_secret"))
	if _, err := client.Get(context.Background(), someID); err != nil {
		t.Fatal(err)
	}
	if err := os.Lchown(path, 12345, -1); errors.Is(err, os.ErrPermission) {
		t.Skip("only root can give a socket to another user")
	} else if err != nil {
		t.Fatal(err)
	}
	_, err = newClient(t, "unix:"+path, signoff.WithToken("sgnt_secret")).Get(context.Background(), someID)
	if known := is(t, err, signoff.ErrUnavailable, "unreachable"); !strings.Contains(known.Detail, "another user") {
		t.Error(known)
	}
}
