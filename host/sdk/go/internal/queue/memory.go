package queue

import "sync"

// MemoryMax is how many decisions are kept in memory.
const MemoryMax = 1 << 16

// memory is a queue that ends with the process.
type memory struct {
	filled signal

	mutex            sync.Mutex
	open             *Batch
	sealed           []*Batch
	pending, refused int
	closed           bool
}

// InMemory returns a queue that ends with the process.
func InMemory() Queue {
	return &memory{filled: make(signal, 1)}
}

func (m *memory) Add(line string) error {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	switch {
	case m.closed:
		return ErrClosed
	case m.pending >= MemoryMax:
		return ErrFull
	case m.open == nil:
		m.open = &Batch{Key: newKey()}
	}
	m.open.Lines = append(m.open.Lines, line)
	m.pending++
	if len(m.open.Lines) == BatchMax {
		m.seal()
	}
	m.filled.raise()
	return nil
}

func (m *memory) Filled() <-chan struct{} { return m.filled }

func (m *memory) Seal() error {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	m.seal()
	return nil
}

func (m *memory) seal() {
	if m.open != nil {
		m.sealed = append(m.sealed, m.open)
		m.open = nil
	}
}

func (m *memory) Oldest() (*Batch, error) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	if len(m.sealed) == 0 {
		return nil, nil
	}
	return m.sealed[0], nil
}

func (m *memory) Remove(batch *Batch, refused []string) error {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	m.sealed = m.sealed[1:]
	m.pending -= len(batch.Lines)
	m.refused += len(refused)
	return nil
}

func (m *memory) Counts() (pending, refused int) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	return m.pending, m.refused
}

func (m *memory) End() error {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	m.closed = true
	m.seal()
	return nil
}

func (m *memory) Close() error { return nil }
