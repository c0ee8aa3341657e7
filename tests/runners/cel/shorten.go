package main

import (
	"encoding/json"
	"slices"
	"unicode/utf8"
)

// tries is how often a difference is evaluated to find a shorter one.
const tries = 800

// shortenCondition returns a shorter condition with the same difference.
func (p pair) shortenCondition(tree *node, asked attempt) comparison {
	best, _, _ := p.compare(tree, asked)
	wanted, left := best.kind(), tries
	holds := func(compare func() (comparison, string, error)) bool {
		if left--; left < 0 {
			return false
		}
		compared, outcome, err := compare()
		if err != nil || outcome != differs || compared.kind() != wanted {
			return false
		}
		best = compared
		return true
	}
	tree = tree.shortest(func(smaller *node) bool {
		return holds(func() (comparison, string, error) { return p.compare(smaller, asked) })
	})
	text := tree.text()
	differently := func(text string, asked attempt) bool {
		return holds(func() (comparison, string, error) { return p.compareText(nil, tree.kind, text, asked) })
	}
	text = cuts(text, func(cut string) bool { return differently(cut, asked) })
	for _, document := range []*string{&asked.Context, asked.Plan} {
		for _, name := range memberNames {
			if document == nil {
				continue
			}
			whole := *document
			if *document = without(whole, name); !differently(text, asked) {
				*document = whole
			}
		}
	}
	asked.Plan = nil
	differently(text, asked)
	return best
}

// without returns a JSON object without one of its members.
func without(object, name string) string {
	var members map[string]json.RawMessage
	if json.Unmarshal([]byte(object), &members) != nil {
		return object
	}
	delete(members, name)
	out, _ := json.Marshal(members)
	return string(out)
}

// shortenPattern returns a shorter pattern and text with the same difference.
func (p pair) shortenPattern(tree *node, asked matching) comparison {
	best, _, _, _ := p.match(asked)
	wanted, left := best.kind(), tries
	holds := func(asked matching) bool {
		if left--; left < 0 {
			return false
		}
		compared, outcome, _, err := p.match(asked)
		if err != nil || outcome != differs || compared.kind() != wanted {
			return false
		}
		best = compared
		return true
	}
	for _, text := range asked.texts {
		if holds(matching{asked.pattern, []string{text}}) {
			asked.texts = []string{text}
			break
		}
	}
	tree = tree.shortest(func(smaller *node) bool { return holds(matching{smaller.text(), asked.texts}) })
	asked.pattern = cuts(tree.text(), func(cut string) bool { return holds(matching{cut, asked.texts}) })
	if len(asked.texts) == 1 {
		cuts(asked.texts[0], func(cut string) bool { return holds(matching{asked.pattern, []string{cut}}) })
	}
	return best
}

// shortest replaces nodes while `holds` does. The root keeps its kind.
func (n *node) shortest(holds func(*node) bool) *node {
	for shorter := true; shorter; {
		shorter = false
		for _, smaller := range n.smaller() {
			if smaller.kind == n.kind && len(smaller.text()) < len(n.text()) && holds(smaller) {
				n, shorter = smaller, true
				break
			}
		}
	}
	return n
}

// smaller returns the trees in which one node is one of its children or a plain literal.
func (n *node) smaller() []*node {
	all := slices.Clone(n.kids)
	plain := map[string]string{
		"bool": "true", "int": "1", "uint": "1u", "double": "1.5", "string": "'a'", "bytes": "b'a'", "null": "null",
		"list": "[]", "map": "{}",
		"pattern": "a",
	}
	if text, ok := plain[base(n.kind)]; ok && len(n.kids) > 0 {
		all = append(all, leaf(n.kind, text))
	}
	for at, kid := range n.kids {
		for _, smaller := range kid.smaller() {
			kids := slices.Clone(n.kids)
			kids[at] = smaller
			all = append(all, &node{kind: n.kind, parts: n.parts, kids: kids})
		}
	}
	return all
}

// cuts removes pieces of a text while `holds` does.
func cuts(text string, holds func(string) bool) string {
	for size := 8; size > 0; size /= 2 {
		for from := 0; from+size <= len(text); {
			cut := text[:from] + text[from+size:]
			if utf8.ValidString(cut) && holds(cut) {
				text = cut
			} else {
				from++
			}
		}
	}
	return text
}
