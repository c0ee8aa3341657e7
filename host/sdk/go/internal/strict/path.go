package strict

import (
	"strconv"
	"strings"
)

// pathShown is the number of steps that an error shows.
const pathShown = 16

// path leads from the outermost value to the current one.
type path []step

// step is the name of a member, or an index if the name is empty and the step is not the first.
type step struct {
	name  string
	index int
}

func (p path) String() string {
	var out strings.Builder
	for index, step := range p {
		switch {
		case index == pathShown:
			out.WriteString("…")
			return out.String()
		case index == 0:
			out.WriteString(step.name)
		case step.name == "":
			out.WriteString("[" + strconv.Itoa(step.index) + "]")
		case isPlain(step.name):
			out.WriteString("." + step.name)
		default:
			out.WriteString("[" + strconv.QuoteToASCII(step.name) + "]")
		}
	}
	return out.String()
}

// isPlain reports whether a name needs no quotes in a path.
func isPlain(name string) bool {
	for _, char := range name {
		if !(char == '_' || char >= '0' && char <= '9' || char >= 'a' && char <= 'z' || char >= 'A' && char <= 'Z') {
			return false
		}
	}
	return name != "" && len(name) <= 64
}
