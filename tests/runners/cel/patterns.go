package main

import (
	"fmt"
	"strconv"
	"strings"
)

// pattern makes a random regular expression: mostly of RE2's syntax, with parts that other engines have.
func (d dice) pattern(depth int) *node {
	switch d.IntN(12) {
	case 0, 1:
		return form("pattern", "§|§", d.pattern(depth-1), d.pattern(depth-1))
	case 2:
		return form("pattern", d.of("^", "$", `\A`)+"§", d.sequence(depth))
	}
	return d.sequence(depth)
}

func (d dice) sequence(depth int) *node {
	count := d.IntN(4) + 1
	var kids []*node
	for range count {
		kids = append(kids, d.repeated(depth))
	}
	return form("pattern", strings.Repeat("§", count), kids...)
}

func (d dice) repeated(depth int) *node {
	atom := d.atom(depth)
	if !d.chance(30) {
		return atom
	}
	times := d.of("*", "+", "?", "*", "+", "?", "{2}", "{0,2}", "{1,}", "{0}", "{2,5}")
	if d.chance(6) {
		times = d.of("{,3}", "{}", "{a}", "{1,2", "{2,1}", "{1000}", "{1001}", "{0,1000}", "{999,}", "{500}{3}",
			"{100}{100}", "{ 1 }", "{1, 2}", "{-1}", "{01}", "{99999999999}", "{2}{3}", "**", "+*", "{,}", "}",
			"{1,2}}")
	}
	if d.chance(3) {
		times += d.of("+", "*", "??", "{2}")
	}
	return form("pattern", "§"+times+d.of("", "", "?"), atom)
}

func (d dice) atom(depth int) *node {
	if depth > 0 && d.chance(25) {
		return d.group(depth - 1)
	}
	switch d.IntN(10) {
	case 0, 1:
		return leaf("pattern", d.class())
	case 2:
		return leaf("pattern", d.of(`\d`, `\w`, `\s`, `\D`, `\W`, `\S`, ".", ".", `\b`, `\B`))
	case 3:
		return leaf("pattern", d.of("^", "$", `\A`, `\z`, `\b`, `\B`))
	case 4:
		return leaf("pattern", d.unicodeClass())
	case 5:
		return leaf("pattern", d.escape())
	case 6:
		if d.chance(15) {
			return leaf("pattern", d.oddity())
		}
	}
	return leaf("pattern", d.character())
}

// character returns a character that stands for itself, or should.
func (d dice) character() string {
	char := pick(d, letters)
	if strings.Contains(`\.+*?()|[]{}^$`, char) && !d.chance(2) {
		return `\` + char
	}
	return char
}

func (d dice) group(depth int) *node {
	open := d.of("(", "(", "(?:", "(?:", "(?i:", "(?s:", "(?m:", "(?U:", "(?-s:", "(?i-s:", "(?P<n>", "(?<n>",
		"(?im:", "(?sU:")
	if d.chance(5) {
		open = d.of("(?x:", "(?u:", "(?-u:", "(?-i:", "(?ii:", "(?-:", "(?i-:", "(?i-i:", "(?P<1>", "(?P<é>",
			"(?P<a-b>", "(?P<>", "(?P=n", "(?'n'", "(?<n.m>", "(?P<n[0]>", "(?R:", "(?=", "(?!", "(?<=", "(?<!",
			"(?>",
			"(?#", "(?P>n", "(?|", "(*", "(?<n>(?<n>", "(?")
	}
	return form("pattern", open+"§"+d.close(), d.pattern(depth))
}

func (d dice) close() string {
	if d.chance(1) {
		return ""
	}
	return ")"
}

func (d dice) oddity() string {
	return d.of("(?i)", "(?s)", "(?m)", "(?U)", "(?is)", "(?-i)", "(?i-m)", "(?x)", "(?x) # a\n", "(?u)", "(?-u)",
		"(?R)", "(?)", "(?-)", "(?^)", "(?i", "()", "(|a)", "(a|)", "||", "(?:)", `\Z`, `\G`, `\K`, `\1`,
		`\k<n>`, `\g1`, `\R`, `\X`, `\h`, `\H`, `\v`, `\V`, `\N`, `\C`, `\c`, `\cA`, `\e`, `\E`, `\Q`, `\Qa.b\E`,
		`\Q*\E+`, `\Q\E`, `\Qa`, `\<`, `\>`, `\b{start}`, `\b{end}`, `\b{start-half}`, `\o{12}`, `\a`, `\f`, `\y`,
		`\l`, `\i`,
		"]", "}", "{", ")", "(", "[", "[]", "[^]", "[]a]", "[^]a]", "[a", `[\`, "*", "+", "?", "|*", "^*", "$+",
		`\b+`, "(?:^)*", "a**", "\\", "[[:alpha:]", "[:alpha:]", "(?i)k", "(?i)ſ", "(?i)[k]", `(?i)\x{212a}`,
		"(?i)[^s]",
		"(?i)ß", "(?i)İ", "(?i)σ", "(?i)[α-ω]", `(?i)\pL`, `(?i)\p{Lu}`, `(?i)[\p{Lu}]`, `(?i)[^\p{Lu}]`,
		`(?i)[^\P{Lu}]`, "(?i)[[:upper:]]", "(?i)[^[:upper:]]", `(?i)\w`, `(?i)\W`, `(?i)[\W]`, `(?i)[^\w]`,
		`(?i)\D`, `(?s).`, "(?-s).", "(?m)^", "(?m)$", "(?m)\\A", "(?Um).*?$", "(?sm)^.$",
		"\xc3\xa9", "(?i)𐐀", "[[=a=]]", "[[.a.]]", "[a-\\d]", `[\d-z]`, "[a-", "[z-a]", "[--a]", "[a--b]", "[a~~b]",
		"[a&&b]", "[[a]b]", "[^[a]b]", "[a&&[^b]]", "[&&]", "[&]", "[~~]", "[--]")
}

func (d dice) escape() string {
	if d.chance(90) {
		return d.of(`\x41`, `\x{e9}`, `\x{212A}`, `\x{1F600}`, `\x{10FFFF}`, `\n`, `\t`, `\r`, `\f`, `\v`, `\a`, `\.`,
			`\-`, `\/`, `\,`, `\ `, `\_`, `\"`, `\'`, `\#`, `\&`, `\~`, `\%`, `\<`, `\@`, `\007`, `\101`, `\0`,
			`\x00`, `\x{0}`, `\x{61}`, `\x{0061}`, `\]`, `\}`, `\!`, `\:`, `\;`, `\=`, "\\`")
	}
	return d.of(`\u0041`, `\u{41}`, `\U00000041`, `\U{41}`, `\x{110000}`, `\x{}`, `\x{d800}`, `\x4`, `\x`, `\xg1`,
		`\x{41`, `\x{ 41 }`, `\x{00000000041}`, `\08`, `\18`, `\8`, `\9`, `\12`, `\123`, `\377`, `\400`, `\777`,
		`\1234`, `\é`, `\k`, `\m`, `\q`, `\T`, `\Y`, "\\\n", `\😀`, `\00`, `\x{+41}`, `\x{-1}`, "\\\x00", `\x{4_1}`)
}

// unicodeClass returns a class by a property. Scripts with a `_` are left out: Go 1.26 does not find them.
func (d dice) unicodeClass() string {
	name := d.of("L", "N", "Lu", "Ll", "Nd", "Z", "Zs", "P", "S", "M", "C", "Cc", "Greek", "Latin", "Cyrillic", "Han",
		"Common", "Any", "Lt", "So", "Sm", "Pd", "Mn", "Co")
	if d.chance(6) {
		name = d.of("Letter", "Uppercase_Letter", "greek", "GREEK", "lu", "Script=Greek", "sc=Greek", "scx=Greek",
			"gc=Lu", "General_Category=Lu", "Alphabetic", "White_Space", "Emoji", "Assigned", "ASCII", "Cn", "LC",
			"L&", "Cs", "^L", "^Greek", "IsGreek", "InGreek", "Block=Greek", "", "X", "L u", " L", "Zyyy", "Grek",
			"Age=6.0", "XPosixAlpha", "any", "alpha", "Lm", "Uppercase", "Unknown", "Inherited", "Tifinagh", "Kawi",
			"Garay", "Lo", "Nl", "No", "Pc", "Cf")
	}
	letter := d.of("p", "p", "P")
	if len(name) == 1 && d.chance(40) {
		return `\` + letter + name
	}
	if d.chance(2) {
		return d.of(`\p`, `\pl`, `\p{L`, `\pé`, `\p{}`, `\p L`, `\p{L}}`, `\pLu`, `\p^L`, `\P{^L}`)
	}
	return `\` + letter + "{" + name + "}"
}

func (d dice) class() string {
	var out strings.Builder
	out.WriteString(d.of("[", "[", "[", "[^"))
	for range d.IntN(4) + 1 {
		switch d.IntN(9) {
		case 0, 1:
			out.WriteString(d.of("a-z", "0-9", "A-Z", "A-z", "é-ÿ", "α-ω", `\x00-\x1f`, "a-a", " -~",
				`\x{80}-\x{10FFFF}`, "А-я", "K-S", `\n-\r`, "٠-٩", "!-/", "+--", "*-,"))
		case 2:
			out.WriteString(d.of(`\d`, `\w`, `\s`, `\D`, `\W`, `\S`))
		case 3:
			out.WriteString("[:" + d.of("", "", "", "^") + d.of("alpha", "digit", "alnum", "upper", "lower", "space",
				"blank", "cntrl", "graph", "print", "punct", "xdigit", "word", "ascii", "alpha", "digit", "alnum",
				"upper", "lower", "space", "punct", "cntrl", d.of("word", "print", "foo", "Alpha", "")) + ":]")
		case 4:
			out.WriteString(d.unicodeClass())
		case 5:
			out.WriteString(d.escape())
		case 6:
			if d.chance(12) {
				out.WriteString(d.of("[", "]", "&&", "--", "~~", "||", "[a-c]", "[^b]", "&&[^b]", "--a", "~~[a]", "&",
					"~", "^", "-", `\b`, `\B`, `\A`, `\z`, `\Q]\E`, `\Q`, "[:", ":]", "[:alpha", "[=a=]", "z-a",
					`a-\d`, `\d-a`, "a-b-c", "--", "-a", "\n", " ", "#", `\-`, `\^`, `\]`, `\[`, `\&`, "[[:alpha:]]",
					"a-[b]", "."))
			}
		default:
			char := pick(d, letters)
			if strings.Contains(`\[]^-&~`, char) && !d.chance(10) {
				char = `\` + char
			}
			out.WriteString(char)
		}
	}
	out.WriteString(d.of("]", "]", "]", "]", "]", "-]"))
	if d.chance(1) {
		return strings.TrimSuffix(out.String(), "]")
	}
	return out.String()
}

// matching returns a random pattern and texts to match.
func (d dice) matching() (*node, matching) {
	tree := d.pattern(2)
	if d.chance(50) {
		tree = form("pattern", "^(?:§)$", tree)
	}
	return tree, matching{tree.text(), d.texts(tree.text())}
}

// matching is a pattern and the texts to match.
type matching struct {
	pattern string
	texts   []string
}

// condition returns the condition that is true if signoff matches each text as Go did.
func (m matching) condition(matched []bool) attempt {
	var texts, wanted []string
	for _, text := range m.texts {
		texts = append(texts, quote(text))
	}
	for _, one := range matched {
		wanted = append(wanted, strconv.FormatBool(one))
	}
	when := fmt.Sprintf("context.t.map(t, t.matches(%s)) == [%s]", quoted(m.pattern), strings.Join(wanted, ", "))
	return attempt{When: when, Context: `{"t": [` + strings.Join(texts, ", ") + `]}`, Facts: "{}"}
}
