package main

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
)

// literal returns a condition's text for a value of cel-go; false if there is none.
func literal(value ref.Val) (string, bool) {
	switch value := value.(type) {
	case types.Bool:
		return fmt.Sprint(bool(value)), true
	case types.Int:
		return strconv.FormatInt(int64(value), 10), true
	case types.Uint:
		return strconv.FormatUint(uint64(value), 10) + "u", true
	case types.Double:
		return double(float64(value))
	case types.String:
		return quoted(string(value)), true
	case types.Bytes:
		return "b" + escapedBytes(value), true
	case types.Null:
		return "null", true
	case types.Timestamp:
		return "timestamp(" + quoted(value.Time.UTC().Format(time.RFC3339Nano)) + ")", true
	case types.Duration:
		return durationLiteral(value.Duration), true
	case *types.Type:
		return value.TypeName(), true
	case *types.Optional:
		if !value.HasValue() {
			return "optional.none()", true
		}
		inner, ok := literal(value.GetValue())
		return "optional.of(" + inner + ")", ok
	case traits.Lister:
		items, ok := literals(value.Iterator(), literal)
		return "[" + strings.Join(items, ", ") + "]", ok
	case traits.Mapper:
		entries, ok := literals(value.Iterator(), func(key ref.Val) (string, bool) {
			name, ok := literal(key)
			item, fine := literal(value.Get(key))
			return name + ": " + item, ok && fine
		})
		slices.Sort(entries)
		return "{" + strings.Join(entries, ", ") + "}", ok
	}
	return "", false
}

func literals(values traits.Iterator, text func(ref.Val) (string, bool)) ([]string, bool) {
	var texts []string
	for values.HasNext() == types.True {
		one, ok := text(values.Next())
		if !ok {
			return nil, false
		}
		texts = append(texts, one)
	}
	return texts, true
}

func double(value float64) (string, bool) {
	switch {
	case math.IsNaN(value):
		return "", false
	case math.IsInf(value, 1):
		return "(1.0 / 0.0)", true
	case math.IsInf(value, -1):
		return "(-1.0 / 0.0)", true
	}
	text := strconv.FormatFloat(value, 'g', -1, 64)
	if !strings.ContainsAny(text, ".e") {
		text += ".0"
	}
	return text, true
}

func durationLiteral(value time.Duration) string {
	size := uint64(value)
	if value < 0 {
		size = -size
	}
	text := fmt.Sprintf("duration('%d.%09ds')", size/1e9, size%1e9)
	if value < 0 {
		return "(duration('0s') - " + text + ")"
	}
	return text
}

// quoted returns a string literal that both parsers read alike: everything but letters and digits is escaped.
func quoted(text string) string {
	var out strings.Builder
	out.WriteByte('\'')
	for _, char := range text {
		switch {
		case char == ' ' || char > ' ' && char < 0x7f && char != '\'' && char != '\\':
			out.WriteRune(char)
		case char < 0x10000:
			fmt.Fprintf(&out, `\u%04x`, char)
		default:
			fmt.Fprintf(&out, `\U%08x`, char)
		}
	}
	out.WriteByte('\'')
	return out.String()
}

func escapedBytes(bytes []byte) string {
	var out strings.Builder
	for _, one := range bytes {
		fmt.Fprintf(&out, `\x%02x`, one)
	}
	return "'" + out.String() + "'"
}
