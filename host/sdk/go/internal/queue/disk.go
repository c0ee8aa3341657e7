package queue

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// Names in a folder of the queue.
const (
	// openEnd ends the name of a batch in progress, sealedEnd that of one to send.
	openEnd   = ".open"
	sealedEnd = ".batch"
	// refusedFolder holds the batches that were put aside.
	refusedFolder = "refused"
	// fileBytesMax is far more than 256 decisions need.
	fileBytesMax = 4 << 20
)

// disk is a queue in a folder that this process has locked. A batch is a file with one decision a line;
// its name without the end is its key.
type disk struct {
	folder string
	lock   *os.File
	log    *slog.Logger
	filled signal

	mutex  sync.Mutex
	open   *file
	sealed []sealed
	// refused counts the decisions put aside since the start.
	refused int
	closed  bool
}

// sealed is a file that waits.
type sealed struct {
	key   string
	lines int
}

// OnDisk opens the queue of a deployment below a folder, which is made if it is not there. Batches that
// other processes left are taken over, unless they still run.
//
// Errors: the folder belongs to another user, or others can use it; it cannot be read, written or locked.
func OnDisk(base, audience string, log *slog.Logger) (Queue, error) {
	folder, lock, err := lockedFolder(base, audience)
	if err != nil {
		return nil, err
	}
	d := &disk{folder: folder, lock: lock, log: log, filled: make(signal, 1)}
	if err := d.takeOver(base, audience); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	if len(d.sealed) > 0 {
		d.filled.raise()
	}
	return d, nil
}

// takeOver finds what this folder has from before, and what ended processes left in theirs.
func (d *disk) takeOver(base, audience string) error {
	if err := moveLeftOvers(base, audience, d.folder); err != nil {
		return err
	}
	entries, err := os.ReadDir(d.folder)
	if err != nil {
		return err
	}
	// The names begin with the time, and are listed in order.
	for _, entry := range entries {
		name := entry.Name()
		if key, wasOpen := strings.CutSuffix(name, openEnd); wasOpen {
			name = key + sealedEnd
			if err := os.Rename(d.path(entry.Name()), d.path(name)); err != nil {
				return err
			}
		}
		if key, isSealed := strings.CutSuffix(name, sealedEnd); isSealed {
			lines, err := readLines(d.path(name))
			if err != nil {
				d.log.Error("signoff: a file of decisions cannot be read; it is sent later if it can", "file", d.path(name), "error", err)
			}
			d.sealed = append(d.sealed, sealed{key, len(lines)})
		}
	}
	return nil
}

func (d *disk) path(name string) string { return filepath.Join(d.folder, name) }

func (d *disk) Filled() <-chan struct{} { return d.filled }

// Add returns once the decision is on disk. Decisions that are added at the same time share the wait.
func (d *disk) Add(line string) error {
	d.mutex.Lock()
	if d.closed {
		d.mutex.Unlock()
		return ErrClosed
	}
	if d.open == nil {
		made, err := create(d.folder)
		if err != nil {
			d.mutex.Unlock()
			return err
		}
		d.open = made
	}
	batch := d.open
	number, err := batch.write(line)
	ended := err != nil || number == BatchMax
	if ended {
		// After a failed write the file may end in the middle of a line, and nothing may follow it.
		d.open = nil
	}
	d.mutex.Unlock()
	if ended {
		err = errors.Join(err, d.seal(batch))
	} else if err = batch.sync(number); err != nil {
		err = errors.Join(err, d.retire(batch))
	}
	if err == nil {
		d.filled.raise()
	}
	return err
}

// retire ends a batch that cannot be made durable, so that the next decision gets a file of its own.
func (d *disk) retire(batch *file) error {
	d.mutex.Lock()
	isOpen := d.open == batch
	if isOpen {
		d.open = nil
	}
	d.mutex.Unlock()
	if !isOpen {
		return nil
	}
	return d.seal(batch)
}

func (d *disk) Seal() error {
	d.mutex.Lock()
	batch := d.open
	d.open = nil
	d.mutex.Unlock()
	if batch == nil {
		return nil
	}
	return d.seal(batch)
}

// seal closes a file that nobody writes any more.
func (d *disk) seal(batch *file) error {
	failed := batch.close()
	// The name says that it is complete; it is sent even if it could not be made durable.
	err := os.Rename(d.path(batch.key+openEnd), d.path(batch.key+sealedEnd))
	d.mutex.Lock()
	defer d.mutex.Unlock()
	if err == nil {
		d.sealed = append(d.sealed, sealed{batch.key, batch.count()})
	}
	return errors.Join(failed, err)
}

func (d *disk) Oldest() (*Batch, error) {
	for {
		d.mutex.Lock()
		if len(d.sealed) == 0 {
			d.mutex.Unlock()
			return nil, nil
		}
		first := d.sealed[0]
		d.mutex.Unlock()
		path := d.path(first.key + sealedEnd)
		lines, err := readLines(path)
		switch {
		case errors.Is(err, errForm):
			d.log.Error("signoff: a file does not contain decisions; it was put aside", "file", path, "error", err)
			err = d.putAside(first)
		case err != nil:
			return nil, err
		case len(lines) == 0:
			// No decision of it was ever returned.
			err = d.forget(first.key)
		default:
			return &Batch{Key: first.key, Lines: lines}, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// putAside moves a whole file.
func (d *disk) putAside(first sealed) error {
	if err := os.MkdirAll(d.path(refusedFolder), 0o700); err != nil {
		return err
	}
	name := first.key + sealedEnd
	if err := os.Rename(d.path(name), d.path(filepath.Join(refusedFolder, name))); err != nil {
		return err
	}
	d.mutex.Lock()
	defer d.mutex.Unlock()
	d.sealed = d.sealed[1:]
	d.refused += max(first.lines, 1)
	return nil
}

func (d *disk) Remove(batch *Batch, refused []string) error {
	if len(refused) > 0 {
		if err := d.keepRefused(batch.Key, refused); err != nil {
			return err
		}
	}
	if err := d.forget(batch.Key); err != nil {
		return err
	}
	d.mutex.Lock()
	defer d.mutex.Unlock()
	d.refused += len(refused)
	return nil
}

func (d *disk) keepRefused(key string, lines []string) error {
	folder := d.path(refusedFolder)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	path := filepath.Join(folder, key+sealedEnd)
	aside, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = aside.WriteString(strings.Join(lines, "\n") + "\n")
	if err == nil {
		err = aside.Sync()
	}
	if err = errors.Join(err, aside.Close()); err != nil {
		return err
	}
	return errors.Join(syncFolder(folder), syncFolder(d.folder))
}

// forget removes the first sealed file.
func (d *disk) forget(key string) error {
	if err := os.Remove(d.path(key + sealedEnd)); err != nil {
		return err
	}
	d.mutex.Lock()
	defer d.mutex.Unlock()
	d.sealed = d.sealed[1:]
	return nil
}

func (d *disk) Counts() (pending, refused int) {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	for _, waiting := range d.sealed {
		pending += waiting.lines
	}
	if d.open != nil {
		pending += d.open.count()
	}
	return pending, d.refused
}

func (d *disk) End() error {
	d.mutex.Lock()
	d.closed = true
	d.mutex.Unlock()
	return d.Seal()
}

func (d *disk) Close() error { return d.lock.Close() }

// errForm is the error of a file that this package did not write.
var errForm = errors.New("malformed file of decisions")

// readLines reads the decisions in a file. A last line without its end was never returned as a decision.
func readLines(path string) ([]string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > fileBytesMax {
		return nil, fmt.Errorf("%w: expected at most %d bytes", errForm, fileBytesMax)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	lines := strings.Split(string(text), "\n")
	lines = lines[:len(lines)-1]
	if len(lines) > BatchMax {
		return nil, fmt.Errorf("%w: more than %d lines", errForm, BatchMax)
	}
	for _, line := range lines {
		if !json.Valid([]byte(line)) || !strings.HasPrefix(line, "{") {
			return nil, fmt.Errorf("%w: a line is not a JSON object", errForm)
		}
	}
	return lines, nil
}
