package queue

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
)

// file is the batch in progress.
type file struct {
	key  string
	file *os.File
	// written is how many decisions are in the file. It changes under the mutex of the queue.
	written atomic.Int64

	// syncing is held while the file is made durable.
	syncing sync.Mutex
	durable int64
	failed  error
}

// create makes a file for a batch; its name is on disk before anything counts that is in it.
func create(folder string) (*file, error) {
	key := newKey()
	opened, err := os.OpenFile(filepath.Join(folder, key+openEnd), os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syncFolder(folder); err != nil {
		return nil, errors.Join(err, opened.Close(), os.Remove(opened.Name()))
	}
	return &file{key: key, file: opened}, nil
}

// write appends a decision and returns its number.
func (f *file) write(line string) (int64, error) {
	if _, err := f.file.WriteString(line + "\n"); err != nil {
		return 0, err
	}
	return f.written.Add(1), nil
}

func (f *file) count() int { return int(f.written.Load()) }

// sync returns once the decision with this number is on disk. After a failure nothing more counts: what
// is on disk is unknown then.
func (f *file) sync(number int64) error {
	f.syncing.Lock()
	defer f.syncing.Unlock()
	return f.syncTo(number)
}

func (f *file) syncTo(number int64) error {
	if f.durable >= number || f.failed != nil {
		return f.failed
	}
	written := f.written.Load()
	if f.failed = f.file.Sync(); f.failed == nil {
		f.durable = written
	}
	return f.failed
}

// close makes everything durable and closes the file. It is called once.
func (f *file) close() error {
	f.syncing.Lock()
	defer f.syncing.Unlock()
	err := f.syncTo(f.written.Load())
	if closed := f.file.Close(); err == nil {
		err = closed
	}
	return err
}

// syncFolder makes the names in a folder durable.
func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
