package main

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// logOfGo lets Go write and sign a log, and checks that signoff accepts it, and refuses it once an entry
// is changed.
func logOfGo(h *home) (string, error) {
	secret, key, err := note.GenerateKey(rand.Reader, "signoff/go")
	if err != nil {
		return "", err
	}
	signer, err := note.NewSigner(secret)
	if err != nil {
		return "", err
	}
	const entries = 100
	file, err := signedLog(signer, entries)
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(h.path("go.jsonl"), file, 0o600); err != nil {
		return "", err
	}
	if _, err := h.run("audit", "verify", "go.jsonl", "--trust", key); err != nil {
		return "", err
	}
	edited := bytes.Replace(file, []byte(`"n":42`), []byte(`"n":43`), 1)
	if err := os.WriteFile(h.path("edited.jsonl"), edited, 0o600); err != nil {
		return "", err
	}
	err = h.command("audit", "verify", "edited.jsonl", "--trust", key).Run()
	if exit, ok := err.(*exec.ExitError); !ok || exit.ExitCode() != 1 {
		return "", fmt.Errorf("an edited log ends with %v", err)
	}
	return fmt.Sprintf("a log of %d entries that Go signed", entries), nil
}

func signedLog(signer note.Signer, entries int) ([]byte, error) {
	var leaves [][]byte
	for n := range entries {
		leaves = append(leaves, fmt.Appendf(nil, `{"format":1,"event":"made_by_go","n":%d}`, n))
	}
	root, err := rootOf(leaves)
	if err != nil {
		return nil, err
	}
	tree := tlog.Tree{N: int64(entries), Hash: root}
	text := fmt.Sprintf("%s\n%d\n%s\n", signer.Name(), tree.N, tree.Hash)
	signed, err := note.Sign(&note.Note{Text: text}, signer)
	if err != nil {
		return nil, err
	}
	quoted, err := json.Marshal(string(signed))
	if err != nil {
		return nil, err
	}
	file := fmt.Appendf(nil, "{\"format\":1,\"kind\":\"signoff-audit\",\"audience\":\"go\",\"entries\":%d}\n", entries)
	file = append(file, bytes.Join(leaves, []byte("\n"))...)
	return fmt.Appendf(file, "\n{\"checkpoint\":%s}\n", quoted), nil
}
