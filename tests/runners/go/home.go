package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// home is a directory with a store and its keyring, and the binary that is run in it.
type home struct{ signoff, dir string }

func newHome(signoff string) (*home, error) {
	signoff, err := filepath.Abs(signoff)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "signoff-go")
	return &home{signoff, dir}, err
}

func (h *home) remove() { os.RemoveAll(h.dir) }

func (h *home) path(name string) string { return filepath.Join(h.dir, name) }

func (h *home) command(arguments ...string) *exec.Cmd {
	command := exec.Command(h.signoff, arguments...)
	command.Dir = h.dir
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, "SIGNOFF_") && !strings.HasPrefix(variable, "HMAC_SECRET") {
			command.Env = append(command.Env, variable)
		}
	}
	return command
}

// run runs a command and returns its output.
func (h *home) run(arguments ...string) (string, error) {
	command := h.command(arguments...)
	var failure bytes.Buffer
	command.Stderr = &failure
	printed, err := command.Output()
	if err != nil {
		return "", fmt.Errorf("signoff %s: %w: %s", strings.Join(arguments, " "), err, failure.String())
	}
	return string(printed), nil
}

// serve serves the store while f runs; f is given the address.
func (h *home) serve(f func(url string) error) error {
	server := h.command("serve", "--listen", "127.0.0.1:0", "--json")
	printed, err := server.StdoutPipe()
	if err != nil {
		return err
	}
	if err := server.Start(); err != nil {
		return err
	}
	defer server.Wait()
	defer server.Process.Kill()
	lines := bufio.NewReader(printed)
	first, err := lines.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("the server did not start: %w", err)
	}
	go io.Copy(io.Discard, lines)
	var started struct{ URL string }
	if err := json.Unmarshal(first, &started); err != nil {
		return err
	}
	return f(started.URL)
}

// get sends a request with a token.
func get(url, token string) ([]byte, error) {
	request, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+token)
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %s", url, answer.Status, body)
	}
	return body, err
}
