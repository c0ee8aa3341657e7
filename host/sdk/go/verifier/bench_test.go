package verifier_test

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"signoff.dev/signoff/verifier"
)

// signedV1 returns a request of `signing.verify` for a v1 signature, and what it covers.
func signedV1(tb testing.TB) (statement verifier.Statement, key verifier.Key, signature, request string) {
	statement = verifier.Statement{
		ApprovalID: "appr_01k7s2e3m8q4w6x9y0z1a2b3c4", ExpiresAt: 1760700600, Decision: "approved", Approver: "alice@company.com",
	}
	key = verifier.Key{
		ID: "hmac", Algorithm: "hmac-sha256", Material: "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE", Status: "active", Use: "approve",
	}
	signature, err := load(tb).Sign(statement, "v1", key)
	if err != nil {
		tb.Fatal(err)
	}
	args, err := json.Marshal(map[string]any{
		"statement": statement, "signature": signature, "accept": []string{"v1"},
		"keys": []map[string]any{{
			"id": key.ID, "algorithm": key.Algorithm, "material": string(key.Material), "status": key.Status, "use": key.Use,
			"groups": []string{},
		}},
	})
	if err != nil {
		tb.Fatal(err)
	}
	return statement, key, signature, `{"op":"signing.verify","args":` + string(args) + `}`
}

func BenchmarkVerifyV1(b *testing.B) {
	statement, key, signature, request := signedV1(b)
	v := load(b)
	keys := verifier.Keyring{key}
	b.Run("CallText", func(b *testing.B) {
		for b.Loop() {
			if answer, err := v.CallText(request); err != nil || answer != `{"ok":{"key_id":"hmac"}}` {
				b.Fatal(answer, err)
			}
		}
	})
	b.Run("Verify", func(b *testing.B) {
		for b.Loop() {
			if _, err := v.Verify(statement, signature, keys, []string{"v1"}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("crypto-hmac", func(b *testing.B) {
		secret := []byte("01234567890123456789012345678901")
		message := []byte("appr_01k7s2e3m8q4w6x9y0z1a2b3c4:approved:alice@company.com:2025-10-17T11:30:00+00:00")
		for b.Loop() {
			mac := hmac.New(sha256.New, secret)
			mac.Write(message)
			if hex.EncodeToString(mac.Sum(nil)) != signature {
				b.Fatal("the signature differs")
			}
		}
	})
}

func BenchmarkVerifyApproval(b *testing.B) {
	v := load(b)
	check := sampleCheck(b)
	shown := sample(b)
	b.Run("VerifyApproval", func(b *testing.B) {
		for b.Loop() {
			if _, err := v.VerifyApproval(shown, check); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("crypto-ed25519-twice", func(b *testing.B) {
		public, private, err := ed25519.GenerateKey(nil)
		if err != nil {
			b.Fatal(err)
		}
		message := []byte(shown[:250])
		signature := ed25519.Sign(private, message)
		for b.Loop() {
			for range 2 {
				if !ed25519.Verify(public, message, signature) {
					b.Fatal("the signature does not verify")
				}
			}
		}
	})
}

func BenchmarkDigest(b *testing.B) {
	v := load(b)
	context := map[string]any{"text": strings.Repeat("x", 1000), "when": time.Unix(0, 0).UTC()}
	for b.Loop() {
		if _, err := v.Digest(context); err != nil {
			b.Fatal(err)
		}
	}
}
