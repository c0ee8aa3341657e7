package main

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
)

// tally counts outcomes, and keeps the differences. Several workers fill it.
type tally struct {
	sync.Mutex
	conditions, patterns group
	// Texts that Go matched, and texts that it did not, of patterns that both accept.
	matched, unmatched int
	// For each function, how many conditions that call it returned the same bool.
	calls   map[string]int
	differs []difference
}

// group counts the outcomes of conditions or patterns, and signoff's results.
type group struct{ outcomes, results map[string]int }

// difference is one that no rule allows.
type difference struct {
	at      int
	shorten func(pair) comparison
}

func newTally() *tally {
	empty := func() group { return group{map[string]int{}, map[string]int{}} }
	return &tally{conditions: empty(), patterns: empty(), calls: map[string]int{}}
}

func (g group) add(compared comparison, outcome string) {
	g.outcomes[outcome]++
	if outcome == equal || outcome == laterHere {
		g.results[compared.ours.result]++
	}
}

func (g group) total() (all int) {
	for _, count := range g.outcomes {
		all += count
	}
	return all
}

func (g group) print(title string) {
	fmt.Printf("%7d %s\n", g.total(), title)
	for _, name := range slices.Sorted(maps.Keys(g.outcomes)) {
		fmt.Printf("%9d %s\n", g.outcomes[name], name)
	}
}

func (t *tally) addCondition(at int, compared comparison, outcome string, tree *node, asked attempt) {
	t.Lock()
	defer t.Unlock()
	t.conditions.add(compared, outcome)
	if result := compared.ours.result; (outcome == equal || outcome == laterHere) && (result == yes || result == no) {
		tree.visit(func(one *node) {
			if one.function != "" {
				t.calls[one.function]++
			}
		})
	}
	if outcome == differs {
		shorten := func(p pair) comparison { return p.shortenCondition(tree, asked) }
		t.differs = append(t.differs, difference{at, shorten})
	}
}

func (t *tally) addPattern(at int, compared comparison, outcome string, tree *node, asked matching, matched []bool) {
	t.Lock()
	defer t.Unlock()
	t.patterns.add(compared, outcome)
	if outcome == equal {
		for _, one := range matched {
			if one {
				t.matched++
			} else {
				t.unmatched++
			}
		}
	}
	if outcome == differs {
		shorten := func(p pair) comparison { return p.shortenPattern(tree, asked) }
		t.differs = append(t.differs, difference{at, shorten})
	}
}

// print prints the counts.
func (t *tally) print() {
	t.conditions.print("conditions")
	fmt.Printf("%9d of them true, %d false, %d failed here and there\n", t.conditions.results[yes],
		t.conditions.results[no], t.conditions.results[failed])
	t.patterns.print("patterns")
	fmt.Printf("%9d texts matched, %d not matched here and there\n", t.matched, t.unmatched)
}

// weak returns an error if the random input did not try something often enough.
func (t *tally) weak(functions []function) error {
	var all []string
	least := func(what string, count, percent, of int) {
		if count*100 < of*percent {
			all = append(all, fmt.Sprintf("%d of %d %s, expected at least %d%%", count, of, what, percent))
		}
	}
	conditions, patterns := t.conditions.total(), t.patterns.total()
	least("conditions are true", t.conditions.results[yes], 20, conditions)
	least("conditions are false", t.conditions.results[no], 10, conditions)
	least("conditions fail", t.conditions.results[failed], 10, conditions)
	least("conditions are refused by both", t.conditions.outcomes[bothRefuse], 3, conditions)
	least("patterns are accepted", t.patterns.outcomes[equal], 50, patterns)
	least("patterns are refused by both", t.patterns.outcomes[bothRefuse], 5, patterns)
	least("texts are matched", t.matched, 25, t.matched+t.unmatched)
	least("texts are not matched", t.unmatched, 25, t.matched+t.unmatched)
	if conditions >= conditionsMany {
		for _, one := range functions {
			if t.calls[one.key()] < callsLeast {
				all = append(all, fmt.Sprintf("%d conditions with `%s` give a bool, expected at least %d",
					t.calls[one.key()], one.key(), callsLeast))
			}
		}
	}
	if len(all) == 0 {
		return nil
	}
	return fmt.Errorf("the random input is too weak:\n%s", strings.Join(slices.Compact(all), "\n"))
}

const (
	// conditionsMany is the number of conditions from which every function must have occurred.
	conditionsMany = 5_000
	// callsLeast is how often it must have occurred in a condition that gave the same bool here and there.
	callsLeast = 3
)

// shortened returns at most `most` of the differences, in the order of their numbers, each shortened.
func (t *tally) shortened(p pair, most int) []comparison {
	slices.SortFunc(t.differs, func(one, other difference) int { return cmp.Compare(one.at, other.at) })
	var all []comparison
	for _, one := range t.differs[:min(most, len(t.differs))] {
		all = append(all, one.shorten(p))
	}
	return all
}

// list writes differences to a file, one a line.
func list(path string, all []comparison) error {
	var out strings.Builder
	for _, one := range all {
		fields := []string{one.ours.result, one.theirs.result, one.When, one.ours.why, one.theirs.why, one.unchecked,
			one.Context}
		for at, field := range fields {
			fields[at] = strings.NewReplacer("\n", `\n`, "\t", `\t`).Replace(field)
		}
		fmt.Fprintln(&out, strings.Join(fields, "\t"))
	}
	return os.WriteFile(path, []byte(out.String()), 0o644)
}
