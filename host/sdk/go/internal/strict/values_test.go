package strict_test

import (
	"encoding/hex"
	"encoding/json"
	"math/big"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"signoff.dev/signoff/verifier"
)

// row is a row of the table that all SDKs share.
type row struct {
	Name      string
	Native    map[string]json.RawMessage
	Canonical *string
	Refused   *string
	Only      []string
	Go        *struct{ Canonical, Refused *string }
}

// TestValues needs the repository: the table is not part of the module.
func TestValues(t *testing.T) {
	text, err := os.ReadFile("../../../values.json")
	if err != nil {
		t.Skip("the table host/sdk/values.json is not here: ", err)
	}
	var table struct{ Values []row }
	if err := json.Unmarshal(text, &table); err != nil {
		t.Fatal(err)
	}
	v, err := verifier.New()
	if err != nil {
		t.Fatal(err)
	}
	tried := 0
	for _, row := range table.Values {
		if row.Only != nil && !slices.Contains(row.Only, "go") {
			continue
		}
		tried++
		t.Run(row.Name, func(t *testing.T) {
			canonical, refused := row.Canonical, row.Refused
			if row.Go != nil {
				canonical, refused = row.Go.Canonical, row.Go.Refused
			}
			found, err := v.Canonicalize(map[string]any{"v": native(t, row.Native)})
			switch {
			case refused != nil && (err == nil || *refused != "" && !strings.Contains(err.Error(), "context."+*refused)):
				t.Errorf("expected a refusal that names `%s`, found %s, %v", *refused, found, err)
			case refused == nil && err != nil:
				t.Error(err)
			case canonical != nil && found != *canonical:
				t.Errorf("expected %s, found %s", *canonical, found)
			}
		})
	}
	if tried < 30 {
		t.Errorf("only %d rows were tried", tried)
	}
}

// native makes the Go value of a row.
func native(t *testing.T, kinds map[string]json.RawMessage) any {
	t.Helper()
	for kind, raw := range kinds {
		var text string
		_ = json.Unmarshal(raw, &text) // not every kind is described by a text
		switch kind {
		case "null":
			return nil
		case "true":
			return true
		case "false":
			return false
		case "int":
			if small, err := strconv.ParseInt(text, 10, 64); err == nil {
				return small
			}
			large, _ := new(big.Int).SetString(text, 10)
			return large
		case "float":
			return parsed(t, raw, func() (float64, error) { return strconv.ParseFloat(text, 64) })
		case "string":
			return text
		case "bytes":
			return unhex(t, text)
		case "badtext":
			return string(unhex(t, text))
		case "list", "map":
			return nested(t, kind, raw)
		case "intkey":
			return map[int]string{1: "a"}
		case "cycle":
			list := []any{nil}
			list[0] = list
			return list
		case "nested":
			var value any = []any{}
			for range parsed(t, raw, func() (int, error) { return strconv.Atoi(string(raw)) }) - 1 {
				value = []any{value}
			}
			return value
		case "raw":
			return verifier.RawJSON(text)
		default:
			t.Fatalf("unknown kind `%s`", kind)
		}
	}
	t.Fatal("the row has no value")
	return nil
}

func parsed[T any](t *testing.T, raw json.RawMessage, parse func() (T, error)) T {
	t.Helper()
	value, err := parse()
	if err != nil {
		t.Fatalf("%s: %v", raw, err)
	}
	return value
}

func nested(t *testing.T, kind string, raw json.RawMessage) any {
	t.Helper()
	if kind == "list" {
		list := []any{}
		for _, item := range decoded[[]map[string]json.RawMessage](t, raw) {
			list = append(list, native(t, item))
		}
		return list
	}
	members := map[string]any{}
	for _, pair := range decoded[[][2]json.RawMessage](t, raw) {
		members[decoded[string](t, pair[0])] = native(t, decoded[map[string]json.RawMessage](t, pair[1]))
	}
	return members
}

func decoded[T any](t *testing.T, raw json.RawMessage) (value T) {
	t.Helper()
	if err := json.Unmarshal(raw, &value); err != nil {
		t.Fatalf("%s: %v", raw, err)
	}
	return value
}

func unhex(t *testing.T, text string) []byte {
	t.Helper()
	bytes, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return bytes
}
