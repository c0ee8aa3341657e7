package main

import (
	"regexp/syntax"
	"strings"
	"unicode"
	"unicode/utf8"
)

// texts returns texts to match with a pattern: some that it matches if Go can parse it, and some that it almost
// matches.
func (d dice) texts(pattern string) []string {
	parsed, err := syntax.Parse(pattern, syntax.Perl)
	texts := []string{d.text()}
	for range 7 {
		text := d.text()
		if err == nil {
			text = d.sample(parsed)
			if d.chance(15) {
				text = d.text() + text + d.text()
			}
		}
		if d.chance(55) {
			text = d.bent(text)
		}
		texts = append(texts, strings.ToValidUTF8(text, "\ufffd"))
	}
	return texts
}

// sample returns a text that an expression without assertions matches.
func (d dice) sample(expression *syntax.Regexp) string {
	var out strings.Builder
	inner := func(times int) {
		for range times {
			for _, sub := range expression.Sub {
				out.WriteString(d.sample(sub))
			}
		}
	}
	switch expression.Op {
	case syntax.OpLiteral:
		for _, char := range expression.Rune {
			if expression.Flags&syntax.FoldCase != 0 {
				for range d.IntN(3) {
					char = unicode.SimpleFold(char)
				}
			}
			out.WriteRune(char)
		}
	case syntax.OpCharClass:
		out.WriteRune(d.member(expression.Rune))
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		out.WriteString(pick(d, letters))
	case syntax.OpBeginLine, syntax.OpEndLine:
		if d.chance(20) {
			out.WriteByte('\n')
		}
	case syntax.OpCapture, syntax.OpConcat:
		inner(1)
	case syntax.OpStar:
		inner(d.IntN(3))
	case syntax.OpPlus:
		inner(1 + d.IntN(2))
	case syntax.OpQuest:
		inner(d.IntN(2))
	case syntax.OpRepeat:
		most := expression.Max
		if most < expression.Min {
			most = expression.Min + 2
		}
		inner(min(expression.Min+d.IntN(most-expression.Min+1), 40))
	case syntax.OpAlternate:
		out.WriteString(d.sample(pick(d, expression.Sub)))
	}
	return out.String()
}

// member returns a character of a class, given as pairs of first and last character.
func (d dice) member(class []rune) rune {
	for range 8 {
		char, _ := utf8.DecodeRuneInString(pick(d, letters))
		for at := 0; at < len(class); at += 2 {
			if class[at] <= char && char <= class[at+1] {
				return char
			}
		}
	}
	for range 8 {
		if len(class) == 0 {
			break
		}
		at := d.IntN(len(class)/2) * 2
		if char := class[at] + rune(d.IntN(int(class[at+1]-class[at])+1)); isSettled(char) {
			return char
		}
	}
	return 'a'
}

// isSettled returns whether a character has had its properties for long. Go and the regex crate have different
// versions of Unicode, which differ in rarer ones.
func isSettled(char rune) bool {
	return !unicode.Is(unicode.Cn, char) && (char < 0x590 || 0x1e00 <= char && char < 0x2c00 || 0x3000 <= char &&
		char < 0xa000)
}

// bent returns a text with one change.
func (d dice) bent(text string) string {
	chars := []rune(text)
	if len(chars) == 0 {
		return pick(d, letters)
	}
	at := d.IntN(len(chars))
	char := chars[at]
	switch d.IntN(6) {
	case 0:
		return string(chars[:at]) + string(chars[at+1:])
	case 1:
		return string(chars[:at]) + pick(d, letters) + string(chars[at:])
	case 2:
		return string(chars[:at]) + string(unicode.SimpleFold(char)) + string(chars[at+1:])
	case 3:
		return text + d.of("\n", "a", " ", "\r\n")
	case 4:
		return d.of("\n", "a", " ") + text
	}
	return string(chars[:at]) + pick(d, letters) + string(chars[at+1:])
}
