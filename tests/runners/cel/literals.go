package main

import (
	"fmt"
	"strconv"
	"strings"
)

// literal returns a literal of a type, in one of its notations, or a call that stands for one.
func (g *generator) literal(kind string) string {
	switch base(kind) {
	case "bool":
		return g.of("true", "false")
	case "int":
		if g.chance(4) {
			return g.of("0x1F", "-0x1", "0XfF", "0x7fffffffffffffff", "0x8000000000000000", "-0x8000000000000000",
				"9223372036854775808", "-9223372036854775809",
				"- 1", "--1", "-(-1)", "-(-9223372036854775808)", "007", "1_0", "0x", "-(1)", "- -1")
		}
		return strconv.FormatInt(g.integer(), 10)
	case "uint":
		return g.of("0u", "1u", "2u", "7u", "64u", "255u", "18446744073709551615u", "18446744073709551616u",
			"9223372036854775808u", "0xFFu", "1U", "0xffffffffffffffffu", "-1u", "9007199254740993u")
	case "double":
		if g.chance(15) {
			return g.of("1.", ".5", "1.e3", "1e3", "1E-3", "1e400", "-1e400", "1e-400", "-0.0", "- 0.0", "1e", ".",
				"1.5f", "(0.0 / 0.0)", "(1.0 / 0.0)", "(-1.0 / 0.0)", "double('NaN')", "double('-inf')", "00.5",
				"1e+2")
		}
		return g.doubleText()
	case "string":
		if g.chance(4) {
			return g.of("\"\\a\\b\\f\\n\\r\\t\\v\\\\\\?\\\"\\'\\`\"", `'\x41\X42\101\u00e9\U0001f600'`, `'\q'`,
				`'\400'`, `'\377'`, `'\u12'`, `"\ud800"`, `"\U00110000"`, `'\x4'`, `'\1'`, `r'\d\'`, `r"\"`, "'a\nb'",
				"'''a\nb'''", `"""a"b"""`, `'''it''s'''`, `''`, `""`, `''''''`, `"a" "b"`, `'\0'`, `'\000'`, `R'\n'`,
				`u'a'`, "\"\t\"", `"""\"""a"""`, "'\\\n'")
		}
		return g.stringLiteral(g.text())
	case "bytes":
		if g.chance(20) {
			return g.of(`b'\xff'`, `b'\377'`, `b'\400'`, `b'é'`, `b"\u00e9"`, `B'a'`, `rb'\x'`, `br'\x'`, `bR"\x"`,
				"b'''a\nb'''", `b'\U0001f600'`, `b''`, `b'\x00\x80'`, `b"😀"`)
		}
		return "b" + g.stringLiteral(g.text())
	case "null":
		return "null"
	case "list":
		var texts []string
		for range g.IntN(4) {
			inner := items(kind)
			if inner == "dyn" {
				inner = pick(g.dice, kinds)
			}
			texts = append(texts, g.literal(inner))
		}
		return "[" + strings.Join(texts, ", ") + g.trailing(len(texts)) + "]"
	case "map":
		keys := g.of("'a','b','k'", "'a','é',''", "1,2,0", "true,false", "1u,2u", "1,1u,'1'", "1,1", "'a','a'",
			"1.0,2.0", "null,1", "1,true")
		var texts []string
		for _, key := range strings.Split(keys, ",")[g.IntN(2):] {
			texts = append(texts, key+": "+g.literal(g.of("int", "string", "bool", "double", "null", "list:int")))
		}
		return "{" + strings.Join(texts, ", ") + g.trailing(len(texts)) + "}"
	case "timestamp":
		if g.chance(50) {
			return fmt.Sprintf("timestamp(%d)", g.integer())
		}
		return g.of("now", "timestamp("+g.stringLiteral(g.timestampText())+")", "timestamp('2026-03-29T01:30:00Z')",
			"timestamp('0001-01-01T00:00:00Z')", "timestamp('9999-12-31T23:59:59.999999999Z')",
			"timestamp('1969-12-31T23:59:59.5Z')")
	case "duration":
		return "duration(" + g.stringLiteral(g.durationText()) + ")"
	case "type":
		return g.of("int", "uint", "double", "bool", "string", "bytes", "list", "map", "null_type", "type",
			"google.protobuf.Timestamp", "google.protobuf.Duration", "optional_type", "dyn", "any")
	case "optional":
		return g.of("optional.none()", "optional.of(1)", "optional.of('a')", "optional.of(null)",
			"optional.ofNonZeroValue(0)", "optional.ofNonZeroValue('a')", "optional.of(optional.none())",
			"optional.ofNonZeroValue([])", "optional.ofNonZeroValue(null)", "optional.ofNonZeroValue({})",
			"optional.ofNonZeroValue(0.0)", "optional.ofNonZeroValue(-0.0)",
			"optional.ofNonZeroValue(duration('0s'))", "optional.ofNonZeroValue(false)",
			"optional.ofNonZeroValue(b'')", "optional.ofNonZeroValue(0u)")
	}
	return "context.mixed"
}

func (g *generator) trailing(count int) string {
	if g.chance(4) && count > 0 {
		return ","
	}
	return ""
}
