package strict_test

import (
	"encoding/json"
	"errors"
	"math"
	"math/big"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"signoff.dev/signoff/internal/strict"
)

type inner struct {
	A int
	B int `json:"b"`
}

type embedded struct {
	inner
	B     string `json:"b"`
	Note  string `json:"note,omitempty"`
	When  time.Time
	Skip  int       `json:"-"`
	Never time.Time `json:"never,omitzero"`
	self  int
}

// twice has two fields with one name; encoding/json leaves both out.
var twice = reflect.New(reflect.StructOf([]reflect.StructField{
	{Name: "X", Type: reflect.TypeFor[int](), Tag: `json:"x"`},
	{Name: "Y", Type: reflect.TypeFor[int](), Tag: `json:"x"`},
})).Elem().Interface()

type quoted struct {
	X int `json:"x,string"`
}

// pointed has its method on the pointer, which encoding/json skips for values in an interface.
type pointed struct{ secret string }

func (p *pointed) MarshalJSON() ([]byte, error) { return []byte(`"shown"`), nil }

type failing struct{}

func (failing) MarshalJSON() ([]byte, error) { return nil, errors.New("it cannot be shown") }

type broken struct{}

func (broken) MarshalJSON() ([]byte, error) { return []byte(`1, "b": 2`), nil }

type kind string

func TestEncode(t *testing.T) {
	when := time.Date(2025, 10, 17, 11, 30, 0, 5, time.FixedZone("", 7200))
	link, err := url.Parse("https://a/?b=<c>")
	if err != nil {
		t.Fatal(err)
	}
	number := 7
	for expected, value := range map[string]any{
		`{"A":1,"b":"x","When":"2025-10-17T11:30:00.000000005+02:00"}`: embedded{
			inner: inner{1, 2}, B: "x", When: when, Skip: 3, self: 4,
		},
		`"shown"`:              pointed{"x"},
		`["shown"]`:            []pointed{{"x"}},
		`7`:                    &number,
		`null`:                 (*int)(nil),
		`[null,null]`:          []any{map[string]int(nil), []string(nil)},
		`-0.5`:                 float32(-0.5),
		`1e-07`:                1e-7,
		`0.1`:                  float32(0.1),
		`12345678901234567890`: uint64(12345678901234567890),
		`-12345678901234567890123`: func() *big.Int {
			whole, _ := new(big.Int).SetString("-12345678901234567890123", 10)
			return whole
		}(),
		`5`:                     *big.NewInt(5),
		`1.10`:                  json.Number("1.10"),
		`{"a":{"x":1 }}`:        map[kind]json.RawMessage{"a": json.RawMessage("\n{\"x\":1 } ")},
		`"<&>\"\\\u000a\u001f"`: "<&>\"\\\n\x1f",
		`{"Scheme":"https"}`:    struct{ Scheme string }{link.Scheme},
		`[1,2]`:                 [2]int{1, 2},
	} {
		found, err := strict.Encode("v", value, 1000)
		if err != nil || found != expected {
			t.Errorf("expected %s, found %s, %v", expected, found, err)
		}
		if !json.Valid([]byte(found)) {
			t.Errorf("%s is not JSON", found)
		}
	}
}

func TestEncodeRefusesWithThePath(t *testing.T) {
	self := map[string]any{}
	self["again"] = []any{self}
	var pointer any
	pointer = &pointer
	shared := []int{1}
	for expected, value := range map[string]any{
		"`v.a[1].b`: text that is not UTF-8":       map[string]any{"a": []any{1, map[string]string{"b": "\xff"}}},
		"`v[\"a b\"]`: +Inf is not JSON":           map[string]any{"a b": math.Inf(1)},
		"`v.a`: a chan int is not JSON":            map[string]any{"a": make(chan int)},
		"`v.a`: a func() is not JSON":              map[string]any{"a": func() {}},
		"`v`: a complex128 is not JSON":            complex(1, 2),
		"`v.a`: bytes are not JSON":                map[string]any{"a": []byte("x")},
		"`v`: bytes are not JSON":                  [4]byte{},
		"`v`: the keys of a map must be strings":   map[any]any{"a": 1},
		"`v[\"\\xff\"]`: text that is not UTF-8":   map[string]int{"\xff": 1},
		"`v`: two fields have the same name: `x`":  twice,
		"`v`: the tag option `string`":             quoted{},
		"`v.again[0]`: the value contains itself":  self,
		"`v`: the value contains itself":           pointer,
		"`v`: it cannot be shown":                  failing{},
		"`v`: a JSON text that is not exactly one": broken{},
		"`v`: a JSON text that is not UTF-8":       json.RawMessage("\"\xff\""),
		"`v`: a json.Number that is not a number":  json.Number("\"1\""),
		"`v.When`: ": embedded{When: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)},
		"`v[0]": func() any {
			var value any = shared
			for range 64 {
				value = []any{value}
			}
			return value
		}(),
	} {
		_, err := strict.Encode("v", value, 1000)
		var refused *strict.Error
		if !errors.As(err, &refused) || !strings.HasPrefix(err.Error(), expected) {
			t.Errorf("expected %s, found %v", expected, err)
		}
	}
	if _, err := strict.Encode("v", []any{shared, shared}, 1000); err != nil {
		t.Errorf("one slice in two places is refused: %v", err)
	}
}

func TestEncodeIsLimited(t *testing.T) {
	// Each level holds the one below ten times: all of it would be 10^20 items.
	var value any = []any{}
	for range 20 {
		value = []any{value, value, value, value, value, value, value, value, value, value}
	}
	for _, value := range []any{value, strings.Repeat("x", 2000), json.RawMessage("[" + strings.Repeat(" ", 2000) + "]")} {
		if _, err := strict.Encode("v", value, 1000); err == nil || !strings.Contains(err.Error(), "larger than 1000 bytes") {
			t.Error(err)
		}
	}
}

func TestTextIsOneValue(t *testing.T) {
	for _, text := range []string{"", " ", "{}{}", "{} x", `{},"b":1`, "{", "nul", "\ufeff{}"} {
		if _, err := strict.Text("context", text, 1000); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
	if text, err := strict.Text("context", " {\"a\": 1}\n", 1000); err != nil || text != `{"a": 1}` {
		t.Error(text, err)
	}
}

type place struct {
	Target string          `json:"target"`
	Count  int64           `json:"count"`
	Ratio  float64         `json:"ratio"`
	Small  *float32        `json:"small"`
	Raw    json.RawMessage `json:"raw"`
	Any    any             `json:"any"`
	List   []inner         `json:"list"`
	Map    map[string]int8 `json:"map"`
	Pair   [2]int          `json:"pair"`
}

func TestDecode(t *testing.T) {
	var found place
	text := `{"any": 12345678901234567890, "count": 9007199254740993, "list": [{"A": 1}], "map": {"x": 1}, "pair": [1, 2],` +
		` "ratio": 0.1, "raw": {"z": 1.0}, "small": 1e+16, "target": "prod"}`
	if err := strict.Decode("context", text, &found); err != nil {
		t.Fatal(err)
	}
	if found.Any != json.Number("12345678901234567890") || found.Count != 9007199254740993 || found.Ratio != 0.1 ||
		string(found.Raw) != `{"z": 1.0}` || found.List[0].A != 1 || found.Map["x"] != 1 {
		t.Errorf("%+v", found)
	}
	for text, expected := range map[string]string{
		`{"Target": "x"}`:                "`context.Target`: strict_test.place has no field of this name",
		`{"target": "a", "TARGET": "b"}`: "`context.TARGET`",
		`{"list": [{"A": 1}, {"a": 2}]}`: "`context.list[1].a`",
		`{"ratio": 9007199254740993}`:    "`context.ratio`: float64 cannot hold 9007199254740993 exactly",
		`{"small": 16777217}`:            "`context.small`: float32",
		`{"ratio": 1e999}`:               "`context.ratio`",
		`{"count": 1.5}`:                 "`context`: ",
		`{"map": {"x": 1000}}`:           "`context`: ",
		`{"pair": [1, 2, 3]}`:            "`context.pair`: [2]int cannot hold 3 items",
		`{"count": "1"}`:                 "`context`: ",
		`{`:                              "`context`: it is not exactly one JSON value",
		`{}{}`:                           "`context`: it is not exactly one JSON value",
	} {
		var found place
		if err := strict.Decode("context", text, &found); err == nil || !strings.HasPrefix(err.Error(), expected) {
			t.Errorf("%s: expected %s, found %v", text, expected, err)
		}
	}
	for _, target := range []any{nil, place{}, (*place)(nil)} {
		if err := strict.Decode("context", "{}", target); err == nil {
			t.Errorf("%T is taken", target)
		}
	}
}

func TestPrintable(t *testing.T) {
	for text, expected := range map[string]string{
		"Zoë 請求書 🔒":       "Zoë 請求書 🔒",
		"a\nb\x1b[0m":     `a\u{a}b\u{1b}[0m`,
		"\u202eabc\u2028": `\u{202e}abc\u{2028}`,
		"a\xffb":          `a\xffb`,
		"\ufeff\u00a0":    `\u{feff}\u{a0}`,
	} {
		if found := strict.Printable(text); found != expected {
			t.Errorf("expected %s, found %s", expected, found)
		}
	}
	if found := strict.Printable(strings.Repeat("é", 5000)); len(found) > 2100 || !strings.HasSuffix(found, "(10000 bytes)") {
		t.Error(found)
	}
}
