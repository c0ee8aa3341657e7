package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// node is a part of a random condition. Its text is that of `parts`, with the text of each child between two.
type node struct {
	kind  string
	parts []string
	kids  []*node
	// The function that it calls, as `function.key` has it.
	function string
}

// any returns whether one of the nodes fits.
func (n *node) any(fits func(*node) bool) bool {
	return fits(n) || slices.ContainsFunc(n.kids, func(kid *node) bool { return kid.any(fits) })
}

// isAlternative returns whether the node is a call of `or` or `orValue`.
func (n *node) isAlternative() bool {
	return len(n.kids) == 2 && (strings.Contains(n.parts[1], ".or(") || strings.Contains(n.parts[1], ".orValue("))
}

// macro matches the text between what a macro iterates over and its expression.
var macro = regexp.MustCompile(`^\.(?:map|filter|all|exists|exists_one|existsOne|sortBy)\((\w+), $`)

// variable returns the variable that a macro over a list declares; it is empty for other nodes.
func (n *node) variable() string {
	if len(n.kids) < 2 {
		return ""
	}
	if found := macro.FindStringSubmatch(n.parts[1]); found != nil {
		return found[1]
	}
	return ""
}

// variables returns the variables that macros over lists declare.
func (n *node) variables() (all []string) {
	n.visit(func(one *node) {
		if variable := one.variable(); variable != "" {
			all = append(all, variable)
		}
	})
	return all
}

// reads returns whether the node uses one of the variables.
func (n *node) reads(variables []string) bool {
	return slices.ContainsFunc(variables, func(one string) bool {
		return regexp.MustCompile(`\b` + one + `\b`).MatchString(n.text())
	})
}

func (n *node) visit(f func(*node)) {
	f(n)
	for _, kid := range n.kids {
		kid.visit(f)
	}
}

func leaf(kind, text string) *node { return &node{kind: kind, parts: []string{text}} }

// form makes a node of a text with a `§` for each child.
func form(kind, text string, kids ...*node) *node {
	parts := strings.Split(text, "§")
	if len(parts) != len(kids)+1 {
		panic(fmt.Sprintf("%d children for %q", len(kids), text))
	}
	return &node{kind: kind, parts: parts, kids: kids}
}

func (n *node) text() string {
	var out strings.Builder
	for at, part := range n.parts {
		if at > 0 {
			out.WriteString(n.kids[at-1].text())
		}
		out.WriteString(part)
	}
	return out.String()
}
