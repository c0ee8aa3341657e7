package main

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// logOfSignoff lets signoff write a log, and checks its checkpoints, proofs, export and receipt with Go.
func logOfSignoff(h *home) (string, error) {
	answer, err := h.run("--json", "init", "--audience", "go+test")
	if err != nil {
		return "", err
	}
	var made struct {
		Token string `json:"admin_token"`
	}
	if err := json.Unmarshal([]byte(answer), &made); err != nil {
		return "", err
	}
	var older tlog.Tree
	var id string
	for n := range 12 {
		answer, err := h.run("--json", "request", "--agent", "deployer", "--action", "deploy",
			"--context", fmt.Sprintf(`{"n": %d}`, n))
		if err != nil {
			return "", err
		}
		var approval struct{ ID string }
		if err := json.Unmarshal([]byte(answer), &approval); err != nil {
			return "", err
		}
		id = approval.ID
		if n%3 == 0 {
			if _, err := h.run("approve", id, "--approver", "ann@example.com", "--yes"); err != nil {
				return "", err
			}
		}
		if n == 4 {
			if older, err = checkpoint(h); err != nil {
				return "", err
			}
		}
	}
	if _, err := h.run("approve", id, "--approver", "ann@example.com", "--yes"); err != nil {
		return "", err
	}
	newer, err := checkpoint(h)
	if err != nil {
		return "", err
	}
	entries, err := export(h, newer)
	if err != nil {
		return "", fmt.Errorf("export: %w", err)
	}
	proven, err := receipt(h, id, newer)
	if err != nil {
		return "", fmt.Errorf("receipt: %w", err)
	}
	err = h.serve(func(url string) error { return proofs(url, made.Token, entries, older, newer) })
	return fmt.Sprintf("a log of %d entries, %d of them in a receipt", len(entries), proven), err
}

// open opens a checkpoint of the log, which Go's note package must accept with the key as printed.
func open(h *home, text string) (tlog.Tree, error) {
	key, err := h.run("audit", "key")
	if err != nil {
		return tlog.Tree{}, err
	}
	verifier, err := note.NewVerifier(strings.TrimSpace(key))
	if err != nil {
		return tlog.Tree{}, err
	}
	signed, err := note.Open([]byte(text), note.VerifierList(verifier))
	if err != nil {
		return tlog.Tree{}, err
	}
	lines := strings.Split(signed.Text, "\n")
	if len(lines) != 4 || lines[0] != verifier.Name() || lines[0] != "signoff/go%2Btest" {
		return tlog.Tree{}, fmt.Errorf("%q is no checkpoint of this log", signed.Text)
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return tlog.Tree{}, err
	}
	root, err := base64.StdEncoding.DecodeString(lines[2])
	if err != nil || len(root) != tlog.HashSize {
		return tlog.Tree{}, fmt.Errorf("%q is no root", lines[2])
	}
	return tlog.Tree{N: size, Hash: tlog.Hash(root)}, nil
}

func checkpoint(h *home) (tlog.Tree, error) {
	text, err := h.run("audit", "checkpoint")
	if err != nil {
		return tlog.Tree{}, err
	}
	return open(h, text)
}

// export checks that the exported entries have the root that Go computes, and returns them.
func export(h *home, tree tlog.Tree) ([][]byte, error) {
	if _, err := h.run("audit", "export", "-o", "log.jsonl"); err != nil {
		return nil, err
	}
	file, err := os.ReadFile(h.path("log.jsonl"))
	if err != nil {
		return nil, err
	}
	lines := bytes.Split(bytes.TrimSuffix(file, []byte("\n")), []byte("\n"))
	var footer struct{ Checkpoint string }
	if err := json.Unmarshal(lines[len(lines)-1], &footer); err != nil {
		return nil, err
	}
	signed, err := open(h, footer.Checkpoint)
	if err != nil {
		return nil, err
	}
	entries := lines[1 : len(lines)-1]
	root, err := rootOf(entries)
	if err != nil {
		return nil, err
	}
	if signed != tree || tree != (tlog.Tree{N: int64(len(entries)), Hash: root}) {
		return nil, errors.New("the entries, their checkpoint and the newest one disagree")
	}
	return entries, nil
}

// rootOf is the root of the tree over entries.
func rootOf(entries [][]byte) (tlog.Hash, error) {
	var stored []tlog.Hash
	reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		var hashes []tlog.Hash
		for _, index := range indexes {
			hashes = append(hashes, stored[index])
		}
		return hashes, nil
	})
	for index, entry := range entries {
		hashes, err := tlog.StoredHashes(int64(index), entry, reader)
		if err != nil {
			return tlog.Hash{}, err
		}
		stored = append(stored, hashes...)
	}
	return tlog.TreeHash(int64(len(entries)), reader)
}

// receipt checks the inclusion proofs of a receipt, and returns their number.
func receipt(h *home, id string, tree tlog.Tree) (int, error) {
	text, err := h.run("receipt", "export", id)
	if err != nil {
		return 0, err
	}
	var receipt struct {
		Checkpoint string
		Entries    []struct {
			Number int64
			Entry  string
			Proof  []string
		}
	}
	if err := json.Unmarshal([]byte(text), &receipt); err != nil {
		return 0, err
	}
	signed, err := open(h, receipt.Checkpoint)
	if err != nil {
		return 0, err
	}
	if signed != tree {
		return 0, errors.New("its checkpoint is not the newest one")
	}
	for _, line := range receipt.Entries {
		proof, err := hashes(line.Proof)
		if err != nil {
			return 0, err
		}
		leaf := tlog.RecordHash([]byte(line.Entry))
		if err := tlog.CheckRecord(proof, tree.N, tree.Hash, line.Number-1, leaf); err != nil {
			return 0, fmt.Errorf("entry %d: %w", line.Number, err)
		}
	}
	if len(receipt.Entries) < 3 {
		return 0, errors.New("it has no entries of the request, the key and the ballot")
	}
	return len(receipt.Entries), nil
}

// proofs checks the server's proofs: the inclusion of each entry, and consistency with the older checkpoint.
func proofs(url, token string, entries [][]byte, older, newer tlog.Tree) error {
	for index, entry := range entries {
		query := fmt.Sprintf("entry=%d&size=%d", index+1, newer.N)
		proof, err := proof(url, token, query)
		if err != nil {
			return err
		}
		leaf := tlog.RecordHash(entry)
		if err := tlog.CheckRecord(proof, newer.N, newer.Hash, int64(index), leaf); err != nil {
			return fmt.Errorf("%s: %w", query, err)
		}
	}
	query := fmt.Sprintf("from=%d&size=%d", older.N, newer.N)
	proof, err := proof(url, token, query)
	if err != nil {
		return err
	}
	return tlog.CheckTree(proof, newer.N, newer.Hash, older.N, older.Hash)
}

func proof(url, token, query string) ([]tlog.Hash, error) {
	body, err := get(url+"/api/v1/audit/proof?"+query, token)
	if err != nil {
		return nil, err
	}
	var answer struct{ Hashes []string }
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, err
	}
	return hashes(answer.Hashes)
}

func hashes(texts []string) ([]tlog.Hash, error) {
	var hashes []tlog.Hash
	for _, text := range texts {
		bytes, err := hex.DecodeString(text)
		if err != nil || len(bytes) != tlog.HashSize {
			return nil, fmt.Errorf("%q is no hash", text)
		}
		hashes = append(hashes, tlog.Hash(bytes))
	}
	return hashes, nil
}
