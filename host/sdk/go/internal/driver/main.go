// Command driver runs the suite that all SDKs share: it reads one JSON command a line and writes one JSON
// answer a line.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"signoff.dev/signoff"
	"signoff.dev/signoff/verifier"
)

func main() {
	lines := bufio.NewReader(os.Stdin)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 1 {
			text, failed := json.Marshal(answer(line))
			if failed != nil {
				text, _ = json.Marshal(map[string]any{"error": described(failed)})
			}
			fmt.Println(string(text))
		}
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "driver:", err)
			os.Exit(1)
		}
	}
}

// answer runs one command.
func answer(line []byte) any {
	ctx := context.Background()
	var read command
	if err := json.Unmarshal(line, &read); err != nil {
		return map[string]any{"error": described(err)}
	}
	switch read.Cmd {
	case "hello":
		return map[string]any{"sdk": "go", "version": "0.1.0", "digest": verifier.DigestOfModule()}
	case "corpus":
		return result(corpus(read.Path))
	case "threads":
		return result(threads(read.Threads, read.Calls))
	case "policy":
		return result(localPolicy(ctx, &read))
	case "policy_wait":
		return result(waitForPolicy(&read))
	case "policy_close":
		return result(closePolicies(ctx))
	case "guard":
		return guard(ctx, &read)
	default:
		ok, err := step(ctx, &read)
		if err != nil {
			return map[string]any{"error": described(err)}
		}
		return map[string]any{"ok": json.RawMessage(ok)}
	}
}

func result(value any, err error) any {
	if err != nil {
		return map[string]any{"error": described(err)}
	}
	return value
}

// described is an error as the suite reads it.
func described(err error) any {
	var refused *signoff.Error
	if !errors.As(err, &refused) {
		return map[string]any{"type": fmt.Sprintf("%T", err), "code": nil, "message": err.Error()}
	}
	members := refused.Members
	if members == nil {
		members = []string{}
	}
	return map[string]any{
		"type": refused.Kind().Error(), "code": refused.Code, "comment": refused.Comment, "members": members,
		"request_id": refused.RequestID, "status": refused.Status, "message": refused.Error(),
	}
}
