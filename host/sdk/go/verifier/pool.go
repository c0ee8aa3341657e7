package verifier

import (
	"runtime"
	"sync"
)

// pool lends instances. At most as many are in use as the process has processors: a call only
// computes, so that more would need more memory and save no time.
type pool struct {
	engine *engine
	places chan struct{}

	mutex sync.Mutex
	idle  []*instance
}

func newPool(engine *engine) *pool {
	return &pool{engine: engine, places: make(chan struct{}, runtime.GOMAXPROCS(0))}
}

// use lends an instance for one piece of work. An instance that failed or became large is dropped: what
// a trap leaves in memory is unknown.
func (p *pool) use(work func(*instance) error) error {
	p.places <- struct{}{}
	defer func() { <-p.places }()
	lent, err := p.take()
	if err != nil {
		return err
	}
	kept := false
	defer func() {
		if !kept {
			lent.close()
		}
	}()
	if err := work(lent); err != nil {
		return err
	}
	if !lent.isLarge() {
		p.put(lent)
		kept = true
	}
	return nil
}

// take returns the instance used last, whose memory is likely in the processor's cache, or a new one.
func (p *pool) take() (*instance, error) {
	p.mutex.Lock()
	if last := len(p.idle) - 1; last >= 0 {
		lent := p.idle[last]
		p.idle[last] = nil
		p.idle = p.idle[:last]
		p.mutex.Unlock()
		return lent, nil
	}
	p.mutex.Unlock()
	return p.engine.instantiate()
}

func (p *pool) put(lent *instance) {
	p.mutex.Lock()
	p.idle = append(p.idle, lent)
	p.mutex.Unlock()
}
