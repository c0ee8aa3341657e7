package main

import (
	"regexp"
	"strings"
)

// comparison is one condition and its answers. If only cel-go's checker refuses it, `unchecked` says why, and
// their answer is that of an evaluation without a check.
type comparison struct {
	attempt
	ours, theirs answer
	unchecked    string
	// The expression that the condition was made of, if it is known.
	tree *node
}

// Outcomes other than the name of a rule.
const (
	equal      = "equal"
	differs    = "differs"
	bothRefuse = "refused by both"
	laterHere  = "equal, refused by cel-go's checker alone"
	// cel-go's own answer changes from time to time.
	unordered = "left out, the order of a map's keys decides"
)

// outcome says how the answers compare: one of the outcomes above, or the name of the rule that allows the
// difference.
func (c *comparison) outcome(theirs *theirs) string {
	if c.ours.result == refused && (c.theirs.result == refused || c.unchecked != "") {
		return bothRefuse
	}
	if c.ours.result == c.theirs.result {
		switch {
		case c.unchecked == "":
			return equal
		case checked.MatchString(c.unchecked):
			return laterHere
		}
		return differs
	}
	if name, ok := allows(c, theirs); ok {
		return name
	}
	if theirs.wavers(c.attempt) {
		return unordered
	}
	return differs
}

// checked matches what cel-go's checker knows and signoff's does not: the types of items and values, and what the
// template of `format` needs.
var checked = regexp.MustCompile("no matching overload|expected type|cannot be range|not support field selection|" +
	"undefined type|formatting|string.format|unexpected end of string|index .* out of range")

// particular matches what of a message is particular to one condition.
var particular = regexp.MustCompile("`[^`]*`|'[^']*'|\\(.*|[0-9]+|; .*|\\n.*")

// kind returns the results and messages without what is particular to the condition.
func (c *comparison) kind() [4]string {
	general := func(text string) string { return particular.ReplaceAllString(text, "") }
	return [4]string{c.ours.result, c.theirs.result, general(c.ours.why), general(c.theirs.why)}
}

// pair has both evaluators.
type pair struct {
	ours   *ours
	theirs *theirs
}

// compare evaluates an expression here and there. If a rule or an exception allows the difference of a part, that
// explains the difference of the whole.
func (p pair) compare(tree *node, asked attempt) (comparison, string, error) {
	compared, outcome, err := p.compareText(tree, tree.kind, tree.text(), asked)
	if err == nil && outcome == differs {
		if name := p.explain(tree, asked, compared.ours.result, "", ""); name != "" {
			outcome = name
		}
	}
	return compared, outcome, err
}

// explain returns the rule or the exception that allows the difference of a part with this result. A part that uses the
// variable of a macro is also evaluated in `exists`, between `before` and `after`.
func (p pair) explain(tree *node, asked attempt, result, before, after string) string {
	allowed := func(kid *node, kind, text string) string {
		part, outcome, err := p.compareText(kid, kind, text, asked)
		isRefusal := result == failed || result == refused
		if err == nil && (isRule(outcome) && part.ours.result == result || isException(outcome) && !isRefusal) {
			return outcome
		}
		return ""
	}
	for at, kid := range tree.kids {
		before, after := before, after
		if variable := tree.variable(); variable != "" && at > 0 {
			before, after = before+"("+tree.kids[0].text()+").exists("+variable+", ", ")"+after
		}
		name := allowed(kid, kid.kind, kid.text())
		if name == "" && before != "" {
			text := kid.text()
			if kid.kind != "bool" {
				text = "dyn(" + text + ") == null"
			}
			name = allowed(kid, "bool", before+text+after)
		}
		if name == "" {
			name = p.explain(kid, asked, result, before, after)
		}
		if name != "" {
			return name
		}
	}
	return ""
}

// compareText evaluates an expression. One that is not a condition becomes one that compares it with the value that
// cel-go computes.
func (p pair) compareText(tree *node, kind, text string, asked attempt) (comparison, string, error) {
	asked.When = text
	if kind != "bool" {
		asked.When = p.theirs.observe(text, asked)
	}
	compared := comparison{attempt: asked, tree: tree}
	compared.theirs, _, compared.unchecked = p.theirs.evaluate(asked)
	var err error
	compared.ours, err = p.ours.evaluate(asked)
	return compared, compared.outcome(p.theirs), err
}

// observe returns a condition that is true if a value is the one that cel-go computes, and of the same type.
func (t *theirs) observe(text string, asked attempt) string {
	asked.When = text
	_, value, _ := t.evaluate(asked)
	if value == nil {
		return "dyn(" + text + ") == null"
	}
	kind := value.Type().TypeName()
	expected, ok := literal(value)
	if !ok || len(text)+len(expected) > 1800 {
		return "type(" + text + ") == " + kind
	}
	same := "(" + text + ") == " + expected
	switch {
	case kind == "int" || kind == "uint" || kind == "double":
		same = "type(" + text + ") == " + kind + " && " + same
		if expected == "0.0" || expected == "-0.0" {
			same += " && string(" + text + ") == string(" + expected + ")"
		}
	case kind == "list" && !strings.ContainsAny(expected, "{") && strings.ContainsAny(expected, "0123456789"):
		same = "(" + text + ").map(v, type(v)) == " + expected + ".map(v, type(v)) && " + same
	}
	return same
}

// match compares a pattern. The condition says what Go matched, so their answer is `true` unless Go refuses the
// pattern.
func (p pair) match(asked matching) (compared comparison, outcome string, matched []bool, err error) {
	compared.theirs = answer{result: yes}
	compiled, invalid := regexp.Compile(asked.pattern)
	if invalid != nil {
		compared.theirs = answer{result: refused, why: invalid.Error()}
	}
	for _, text := range asked.texts {
		matched = append(matched, invalid == nil && compiled.MatchString(text))
	}
	compared.attempt = asked.condition(matched)
	compared.ours, err = p.ours.evaluate(compared.attempt)
	return compared, compared.outcome(p.theirs), matched, err
}
