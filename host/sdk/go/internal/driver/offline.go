package main

import (
	"bufio"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"

	"signoff.dev/signoff/internal/fault"
	"signoff.dev/signoff/verifier"
)

// corpus replays a flat corpus: requests and their answers, each after its length.
func corpus(path string) (any, error) {
	v, err := verifier.New()
	if err != nil {
		return nil, err
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	reader := bufio.NewReaderSize(file, 1<<20)
	transcript := sha256.New()
	calls, wrong := 0, 0
	for {
		request, err := text(reader)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		expected, err := text(reader)
		if err != nil {
			return nil, fmt.Errorf("the answer to call %d: %w", calls+1, err)
		}
		calls++
		found, err := v.CallText(request)
		if err != nil {
			return nil, fmt.Errorf("call %d: %w", calls, err)
		}
		if found != expected {
			wrong++
		}
		fmt.Fprintf(transcript, "%s\n%s\n", request, found)
	}
	return map[string]any{"calls": calls, "wrong": wrong, "transcript": hex.EncodeToString(transcript.Sum(nil))}, nil
}

// text reads a length and as many bytes.
func text(reader io.Reader) (string, error) {
	var length uint32
	if err := binary.Read(reader, binary.LittleEndian, &length); err != nil {
		return "", err
	}
	if length > 2*verifier.RequestBytesMax {
		return "", fmt.Errorf("a text of %d bytes", length)
	}
	bytes := make([]byte, length)
	_, err := io.ReadFull(reader, bytes)
	return string(bytes), err
}

// threads makes calls from many goroutines, with a trap halfway.
func threads(count, calls int) (any, error) {
	if count < 1 || calls < 1 {
		return nil, errors.New("expected at least one thread and one call")
	}
	v, err := verifier.New()
	if err != nil {
		return nil, err
	}
	checks, err := checks(v)
	if err != nil {
		return nil, err
	}
	var made, wrong atomic.Int64
	var group sync.WaitGroup
	for range count {
		group.Go(func() {
			for {
				number := made.Add(1)
				if number > int64(calls) {
					return
				}
				if number == int64(calls)/2 && !errors.Is(fault.Trap(v), verifier.ErrTrapped) {
					wrong.Add(1)
				}
				if !checks[number%int64(len(checks))]() {
					wrong.Add(1)
				}
			}
		})
	}
	group.Wait()
	return map[string]any{"calls": calls, "wrong": wrong.Load()}, nil
}

// checks are a verification, a digest and two rejections, each true if it came out right.
func checks(v *verifier.Verifier) ([]func() bool, error) {
	seed := sha256.Sum256([]byte("threads"))
	public := ed25519.NewKeyFromSeed(seed[:]).Public().(ed25519.PublicKey)
	encode := base64.RawURLEncoding.EncodeToString
	key := verifier.Key{
		ID: "ann", Algorithm: "ed25519", Material: verifier.Material(encode(seed[:])), Status: "active", Use: "approve",
		Approver: "ann@company.com",
	}
	statement := verifier.Statement{
		Audience: "examples", KeyID: "ann", ApprovalID: "appr_01k7s2e3m8q4w6x9y0z1a2b3c4",
		RequestDigest: hex.EncodeToString(seed[:]), ExpiresAt: 1_760_700_600, Decision: "approved", Approver: "ann@company.com",
	}
	signature, err := v.Sign(statement, "v2", key)
	if err != nil {
		return nil, err
	}
	key.Material = verifier.Material(encode(public))
	keys, accept := verifier.Keyring{key}, []string{"v2"}
	other := statement
	other.Decision = "rejected"
	isRejected := func(err error, code string) bool {
		var rejection *verifier.Rejection
		return errors.As(err, &rejection) && rejection.Code == code
	}
	return []func() bool{
		func() bool {
			id, err := v.Verify(statement, signature, keys, accept)
			return err == nil && id == "ann"
		},
		func() bool {
			text, err := v.Canonicalize(json.RawMessage(`{"b":1.0,"a":1e2}`))
			return err == nil && text == `{"a": 100.0, "b": 1.0}`
		},
		func() bool {
			_, err := v.Verify(other, signature, keys, accept)
			return isRejected(err, "signature-invalid")
		},
		func() bool {
			_, err := v.Digest(json.RawMessage(`{"a":1,"a":2}`))
			return isRejected(err, "context-invalid")
		},
	}, nil
}
