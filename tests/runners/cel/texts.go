package main

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
)

// dice makes random choices; the same seed gives the same ones.
type dice struct{ *rand.Rand }

func newDice(seed, stream uint64) dice { return dice{rand.New(rand.NewPCG(seed, stream))} }

func (d dice) chance(percent int) bool { return d.IntN(100) < percent }

func pick[T any](d dice, options []T) T { return options[d.IntN(len(options))] }

func (d dice) of(options ...string) string { return pick(d, options) }

// some joins between `least` and `most` texts.
func (d dice) some(least, most int, text func() string) string {
	var out strings.Builder
	for range least + d.IntN(most-least+1) {
		out.WriteString(text())
	}
	return out.String()
}

// letters are characters of one to four bytes, among them ones that case, digits, spaces and lines depend on.
var letters = []string{
	"a", "b", "c", "z", "A", "B", "K", "k", "s", "S", "i", "I", "0", "1", "9", "_", "-", ".", ",", " ", "\t", "\n",
	"\r",
	"\v", "\f", "\x00", "\x7f", "\u0085", "\u00a0", "\u00e9", "\u00c9", "\u00df", "\u0130", "\u0131", "\u017f",
	"\u212a", "\u0660", "\u0669", "\u0967", "\uff11", "\u00b2", "\u2028", "\u2003", "\u3000", "\u200b", "\u0301",
	"\ufeff",
	"\u03a3", "\u03c3", "\u03c2", "\u4e2d", "\u0416", "\u0436", "\U0001f600", "\U0001d7d8", "\U00010400",
	"\U00010428",
	"\ufffd", "\uffff", "\U0010ffff", "'", "\"", "\\", "/", "%", "{", "}", "[", "]", "(", ")", "$", "^", "|", "*",
	"+", "?",
}

// text returns a short string.
func (d dice) text() string {
	switch d.IntN(6) {
	case 0:
		return ""
	case 1, 2:
		return d.of("a", "b", "ab", "inbox", "a,b,c", "héé😀", "Straße", "é", "😀", "é", " a b ", "\u00a0x\u3000", "İ",
			"aaa", "A-B", "x\ny")
	case 3:
		return d.some(1, 4, func() string { return d.of("a", "b", ",", "é", "😀") })
	}
	return d.some(0, 6, func() string { return pick(d, letters) })
}

func (d dice) integer() int64 {
	edges := []int64{
		0, 1, -1, 2, 3, 5, 7, -3, 10, 63, 64, 65, 80, 100, 255, 1000, -1000, 2147483647, -2147483648, 4294967296,
		9007199254740991, 9007199254740992, 9007199254740993, -9007199254740993, 1760697000, 253402300799,
		253402300800,
		-62135596800, -62135596801, 9223372036854775807, -9223372036854775808, 9223372036854775806,
		4611686018427387904,
	}
	switch d.IntN(4) {
	case 0:
		return pick(d, edges)
	case 1:
		return int64(d.Uint64() >> d.IntN(64))
	}
	return int64(d.IntN(12)) - 2
}

// doubleText returns a double as JSON has it.
func (d dice) doubleText() string {
	if d.chance(50) {
		return d.of("0.0", "-0.0", "1.0", "1.5", "-1.5", "2.5", "0.5", "-0.5", "7.0", "0.1", "1e3", "1E+2", "1e-7",
			"1e21", "5e-324",
			"1.7976931348623157e308", "9007199254740992.0", "9007199254740993.0", "9.223372036854775e18",
			"9223372036854775808.0",
			"-9223372036854775808.0", "18446744073709551616.0", "123456789.125", "0.30000000000000004", "1e15",
			"1e16", "1e-5")
	}
	text := strconv.FormatFloat(d.NormFloat64()*float64(pick(d, []int{1, 10, 1000, 1_000_000})), 'f', d.IntN(6), 64)
	if !strings.Contains(text, ".") {
		text += ".0"
	}
	return text
}

// numberText returns a text that may be a number or a bool.
func (d dice) numberText() string {
	if d.chance(30) {
		return strconv.FormatInt(d.integer(), 10)
	}
	return d.of("", "1", "-1", "+1", " 1", "1 ", "0x1F", "-0x1", "0X1f", "1_000", "1e3", "1E3", "-1e-3", "+1.5", ".5",
		"5.", "-.5", ".", "-", "+", "--1",
		"inf", "Inf", "+Inf", "-inf", "-Infinity", "infinity", "INFINITY", "NaN", "nan", "+nan", "-NaN",
		"9223372036854775807", "9223372036854775808",
		"-9223372036854775808", "-9223372036854775809", "18446744073709551615", "18446744073709551616", "0b1", "0o7",
		"007", "-0", "00", "-00.0",
		"true", "True", "TRUE", "tRue", "t", "T", "0", "f", "F", "false", "False", "FALSE", "yes", "on", "TruE",
		" true", "１", "1\n", "\t1", "1e400",
		"-1e400", "1e-400", "0x1p-2", "0x1.8p1", "0x10", "1u", "1.0", "1.50", "1,5", "1e", "e1", "1e+", "1.2.3", "٣",
		"null")
}

// durationText returns a text that is or resembles a duration.
func (d dice) durationText() string {
	if d.chance(35) {
		return d.of("", "0", "-0", "+0", "1h", "90s", "1h30m", "1h30m10s", "-1.5h", "+1s", "1 h", " 1h", "1h ", ".5s",
			"1.", "1.s", ".s", "--1s", "+-1s", "1h-30m",
			"1h+30m", "1d", "1w", "1", "s", "-", "+", "9223372036s", "9223372037s", "-9223372036s", "-9223372037s",
			"9223372036.854775807s",
			"9223372036.854775808s", "-9223372036.854775808s", "-9223372036.854775809s", "9223372036854775807ns",
			"9223372036854775808ns",
			"-9223372036854775808ns", "2562047h47m16.854775807s", "2562048h", "315576000000s", "315576000001s",
			"1e3s", "1S", "1H", "1us", "1µs", "1μs", "1ms",
			"1ns", "0.5ns", "0.9999999999s", "1.0000000001s", "0.1234567891s", "1h1h", "1s1m", "1m1ms1us1ns", "0s",
			"-0s", "00001s", "1_0s", "0x1s", "１s", "1.5.5s",
			"1hm", "h1", "1s\n", "\n1s", "1sec", "1min", "PT1H", "infs", "NaNs", "99999999999999999999s",
			"0.00000000000000000000001s", "1,5s")
	}
	out := d.of("", "", "", "-", "+")
	return out + d.some(1, 3, func() string {
		number := strconv.Itoa(d.IntN(pick(d, []int{3, 70, 100_000})))
		if d.chance(30) {
			number += "." + d.some(0, 11, func() string { return strconv.Itoa(d.IntN(10)) })
		}
		return number + d.of("h", "m", "s", "ms", "us", "ns", "h", "m", "s", "ms", "us", "ns", "s", "m", "h", "µs",
			"d", "")
	})
}

// timestampText returns a text that is or resembles an RFC 3339 timestamp.
func (d dice) timestampText() string {
	if d.chance(12) {
		return d.of("", "now", "2026-01-02", "20260102T030405Z", "2026-01-02T03:04Z", "2026-01-02 03:04:05",
			"1760697000", "2026-002T03:04:05Z",
			"2026-01-02T03:04:05", "+2026-01-02T03:04:05Z", "-2026-01-02T03:04:05Z", "２026-01-02T03:04:05Z",
			"2026-01-02T03:04:05ZZ", "2026-W01-1T00:00:00Z",
			"2026-1-2T03:04:05Z", "2026-01-02T3:04:05Z", "2026-01-02T03:04:5Z", "226-01-02T03:04:05Z",
			"0000-12-31T23:59:59Z", "0001-01-01T00:00:00+00:01",
			"0001-01-01T00:00:00-00:01", "9999-12-31T23:59:59-00:01", "9999-12-31T23:59:59+00:01",
			"9999-12-31T23:59:59.999999999Z", "9999-12-31T23:59:59.9999999999Z")
	}
	odd := func(usual string, unusual ...string) string {
		if d.chance(6) {
			return d.of(unusual...)
		}
		return usual
	}
	fraction := ""
	if d.chance(35) {
		fraction = odd(".", ",", ":") + d.some(0, 12, func() string { return strconv.Itoa(d.IntN(10)) })
	}
	return odd("", " ", "\n", "+") + odd(fmt.Sprintf("%04d", 1970+d.IntN(100)), "0000", "0001", "1969", "9999",
		"10000", "12026", "-001", "26", "2000", "1900") +
		odd("-", "/", "") + odd(fmt.Sprintf("%02d", 1+d.IntN(12)), "00", "13", "2", "02", "02") + odd("-", "/", "−") +
		odd(fmt.Sprintf("%02d", 1+d.IntN(28)), "00", "29", "29", "30", "31", "32", "7") +
		odd("T", "t", " ", "_", "") + odd(fmt.Sprintf("%02d", d.IntN(24)), "24", "25", "-1", "7", "24") + odd(":", "",
		".") +
		odd(fmt.Sprintf("%02d", d.IntN(60)), "60", "99", "5", "00") + odd(":", "", ".") + odd(fmt.Sprintf("%02d",
		d.IntN(60)), "60", "60", "61", "00", "5") + fraction +
		odd(d.of("Z", "Z", "+00:00", "+02:00", "-05:30", "+23:59", "-11:00"), "z", "z", "", "-00:00", "+24:00",
			"+25:00", "+23:60", "-24:00", "+2:00", "+0200", "+02", "UTC",
			"+00:60", "+02:00:00", "−02:00", "[UTC]", "+ 2:00", "+12:345") + odd("", " ", "\n")
}

// zoneText returns a text that is or resembles a time zone. Names are left out that exist on some machines only, and
// zones whose rules changed in recent years.
func (d dice) zoneText() string {
	if d.chance(30) {
		return d.of("+", "-", "", " ", "+-") + strconv.Itoa(d.IntN(30)) + d.of(":", ":", ":", "", ".") + d.of("00",
			"30", "59", "60", "5", "99", "000", "", "-5", "+5")
	}
	return d.of("UTC", "UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe",
		"Pacific/Apia", "Etc/GMT+5",
		"America/Argentina/Buenos_Aires", "US/Eastern", "GMT", "Zulu", "Europe/Kyiv", "Europe/Kiev",
		"America/Ciudad_Juarez", "Antarctica/Troll",
		"+02:00", "-05:00", "-5:00", "02:00", "+00:00", "-00:00", "00:00", "-00:30", "+5:30", "+23:59", "+24:00",
		"-23:59", "99:99", "+02:60", "+0200", "+02", "2:0", "+02:00:00",
		"Berlin", "Z", "z", "", " UTC", "UTC ", "utc", "europe/berlin", "EUROPE/BERLIN", "local", "PST",
		"../UTC",
		"Europe/Nowhere", "Etc/Unknown", "UTC+2", "GMT+2", "Ｕtc", "a:b", ":", "+:", "1:", ":1")
}

// formatText returns a text that may be a template of `format`.
func (d dice) formatText() string {
	return d.some(1, 3, func() string {
		return d.of("", "a", " ", "é") + d.of("%s", "%s", "%s", "%d", "%d", "%f", "%.2f", "%.0f", "%.10f", "%e",
			"%.3e", "%.0e", "%b", "%o", "%x", "%X", "%%", "%", "%q", "%5d", "%.f", "%.s",
			"%.1d", "%-f", "%.50f", "%.101f", "%v", "%c", "%E", "%g", "%S", "%D", "%1$s", "% d", "%+d", "% ", "%é")
	})
}

// textFor returns a string that a function may have been made for.
func (d dice) textFor(function string) string {
	switch function {
	case "duration":
		return d.durationText()
	case "timestamp":
		return d.timestampText()
	case "int", "uint", "double", "bool":
		return d.numberText()
	case "format":
		return d.formatText()
	}
	if strings.HasPrefix(function, "get") {
		return d.zoneText()
	}
	return d.text()
}

// stringLiteral returns a literal for a text, in one of CEL's notations.
func (d dice) stringLiteral(text string) string {
	plain := !strings.ContainsAny(text, "\n\r\\'\"\x00") && !strings.ContainsFunc(text,
		func(char rune) bool { return char < ' ' })
	switch d.IntN(5) {
	case 0:
		if plain {
			return `"` + text + `"`
		}
	case 1:
		if plain {
			return d.of("r", "R") + d.of("'"+text+"'", `"`+text+`"`)
		}
	case 2:
		if plain {
			return d.of("'''"+text+"'''", `"""`+text+`"""`)
		}
	case 3:
		if plain {
			return "'" + text + "'"
		}
	}
	return quoted(text)
}
