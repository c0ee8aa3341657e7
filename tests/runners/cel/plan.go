package main

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"sync"
)

// plan is what to compare.
type plan struct {
	seed                 uint64
	conditions, patterns int
	wrong                bool
	list, program        string
}

// shownMost is how many differences are shortened and printed.
const shownMost = 10

func (p plan) run() error {
	functions, err := functions(p.program)
	if err != nil {
		return err
	}
	tally := newTally()
	workers := runtime.NumCPU()
	failures := make([]error, workers)
	var all sync.WaitGroup
	for worker := range workers {
		all.Go(func() { failures[worker] = p.work(worker, workers, functions, tally) })
	}
	all.Wait()
	if err := errors.Join(failures...); err != nil {
		return err
	}
	fmt.Printf("seed %d\n", p.seed)
	tally.print()
	return errors.Join(p.show(tally), tally.weak(functions))
}

// work compares every `workers`-th condition and pattern. Each has its own dice, so that the number of workers does
// not change it.
func (p plan) work(worker, workers int, functions []function, tally *tally) (err error) {
	pair, err := p.start()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, pair.ours.stop()) }()
	if p.wrong {
		pair.ours.wrongAt = 100
	}
	for at := worker; at < p.conditions; at += workers {
		tree, asked := newDice(p.seed, uint64(at)).condition(functions)
		compared, outcome, err := pair.compare(tree, asked)
		if err != nil {
			return err
		}
		tally.addCondition(at, compared, outcome, tree, asked)
	}
	for at := worker; at < p.patterns; at += workers {
		tree, asked := newDice(p.seed, 1<<32+uint64(at)).matching()
		compared, outcome, matched, err := pair.match(asked)
		if err != nil {
			return err
		}
		tally.addPattern(1<<32+at, compared, outcome, tree, asked, matched)
	}
	return nil
}

func (p plan) start() (pair, error) {
	theirs, err := newTheirs()
	if err != nil {
		return pair{}, err
	}
	ours, err := startOurs(p.program)
	return pair{ours, theirs}, err
}

// show prints differences, and fails if there is one.
func (p plan) show(tally *tally) (err error) {
	if len(tally.differs) == 0 {
		return nil
	}
	pair, err := p.start()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, pair.ours.stop()) }()
	most := shownMost
	if p.list != "" {
		most = math.MaxInt
	}
	shortened := tally.shortened(pair, most)
	for _, one := range shortened[:min(shownMost, len(shortened))] {
		fmt.Printf("\n%s\n  context: %s\n  signoff: %s %s\n  cel-go:  %s %s\n", one.When, one.Context,
			one.ours.result, one.ours.why, one.theirs.result, one.theirs.why)
	}
	if p.list != "" {
		if err := list(p.list, shortened); err != nil {
			return err
		}
	}
	return fmt.Errorf("%d differences", len(tally.differs))
}
