package strict

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// printableRunesMax limits what is shown of a text from elsewhere.
const printableRunesMax = 1000

// Printable returns a text on one line in which everything that a terminal or a log could take for more
// than text is escaped: control, formatting and direction characters, and bytes that are not UTF-8.
func Printable(text string) string {
	var out strings.Builder
	runes := 0
	for index, char := range text {
		if runes++; runes > printableRunesMax {
			fmt.Fprintf(&out, "… (%d bytes)", len(text))
			break
		}
		switch _, size := utf8.DecodeRuneInString(text[index:]); {
		case char == utf8.RuneError && size == 1:
			fmt.Fprintf(&out, `\x%02x`, text[index])
		case unicode.IsPrint(char):
			out.WriteRune(char)
		default:
			fmt.Fprintf(&out, `\u{%x}`, char)
		}
	}
	return out.String()
}
