package queue_test

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"signoff.dev/signoff/internal/queue"
)

const audience = "examples"

func open(t *testing.T, base string) queue.Queue {
	t.Helper()
	q, err := queue.OnDisk(base, audience, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = q.Close() })
	return q
}

func line(number int) string { return fmt.Sprintf(`{"id":"%d"}`, number) }

func add(t *testing.T, q queue.Queue, first, count int) {
	t.Helper()
	for number := range count {
		if err := q.Add(line(first + number)); err != nil {
			t.Fatal(err)
		}
	}
}

// taken seals, and takes every batch out.
func taken(t *testing.T, q queue.Queue) []*queue.Batch {
	t.Helper()
	if err := q.Seal(); err != nil {
		t.Fatal(err)
	}
	var batches []*queue.Batch
	for {
		batch, err := q.Oldest()
		if err != nil {
			t.Fatal(err)
		}
		if batch == nil {
			return batches
		}
		batches = append(batches, batch)
		if err := q.Remove(batch, nil); err != nil {
			t.Fatal(err)
		}
	}
}

// files are the names below a folder that end so.
func files(t *testing.T, base, end string) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(base, func(path string, _ os.DirEntry, err error) error {
		if strings.HasSuffix(path, end) {
			found = append(found, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func counts(t *testing.T, q queue.Queue, pending, refused int) {
	t.Helper()
	if foundPending, foundRefused := q.Counts(); foundPending != pending || foundRefused != refused {
		t.Errorf("expected %d pending and %d refused, found %d and %d", pending, refused, foundPending, foundRefused)
	}
}

// each runs a test with both kinds of queue.
func each(t *testing.T, test func(*testing.T, queue.Queue)) {
	t.Run("disk", func(t *testing.T) { test(t, open(t, private(t))) })
	t.Run("memory", func(t *testing.T) { test(t, queue.InMemory()) })
}

// private is a folder that does not exist yet.
func private(t *testing.T) string { return filepath.Join(t.TempDir(), "queue") }

func TestBatchesHaveAtMost256DecisionsInOrder(t *testing.T) {
	each(t, func(t *testing.T, q queue.Queue) {
		if taken(t, q) != nil {
			t.Error("a batch of nothing")
		}
		add(t, q, 0, 600)
		<-q.Filled()
		counts(t, q, 600, 0)
		batches := taken(t, q)
		next := 0
		for index, batch := range batches {
			if expected := []int{256, 256, 88}[index]; len(batch.Lines) != expected {
				t.Errorf("batch %d has %d decisions", index, len(batch.Lines))
			}
			for _, found := range batch.Lines {
				if found != line(next) {
					t.Errorf("expected %s, found %s", line(next), found)
				}
				next++
			}
		}
		if len(batches) != 3 || batches[0].Key == batches[1].Key {
			t.Error("the batches are not three with different keys")
		}
		counts(t, q, 0, 0)
	})
}

func TestABatchIsTheSameUntilItIsRemoved(t *testing.T) {
	each(t, func(t *testing.T, q queue.Queue) {
		add(t, q, 0, 2)
		if err := q.Seal(); err != nil {
			t.Fatal(err)
		}
		first, err := q.Oldest()
		if err != nil {
			t.Fatal(err)
		}
		add(t, q, 2, 1)
		again, err := q.Oldest()
		if err != nil || again.Key != first.Key || len(again.Lines) != 2 {
			t.Error(again, err)
		}
		if err := q.Remove(again, again.Lines[:1]); err != nil {
			t.Fatal(err)
		}
		counts(t, q, 1, 1)
	})
}

func TestNothingIsAddedAfterTheEnd(t *testing.T) {
	each(t, func(t *testing.T, q queue.Queue) {
		add(t, q, 0, 1)
		if err := q.End(); err != nil {
			t.Fatal(err)
		}
		if err := q.Add(line(1)); !errors.Is(err, queue.ErrClosed) {
			t.Error(err)
		}
		if batches := taken(t, q); len(batches) != 1 || len(batches[0].Lines) != 1 {
			t.Error(batches)
		}
	})
}

func TestConcurrentDecisionsAreAllKept(t *testing.T) {
	each(t, func(t *testing.T, q queue.Queue) {
		seen := map[string]bool{}
		var group sync.WaitGroup
		for worker := range 8 {
			group.Go(func() {
				for number := range 100 {
					if err := q.Add(line(worker*100 + number)); err != nil {
						t.Error(err)
					}
				}
			})
		}
		take := func() {
			for _, batch := range taken(t, q) {
				for _, found := range batch.Lines {
					if seen[found] {
						t.Errorf("%s is there twice", found)
					}
					seen[found] = true
				}
			}
		}
		for len(seen) < 400 {
			take()
		}
		group.Wait()
		take()
		if len(seen) != 800 {
			t.Errorf("%d decisions", len(seen))
		}
	})
}

func TestMemoryIsLimited(t *testing.T) {
	q := queue.InMemory()
	add(t, q, 0, queue.MemoryMax)
	if err := q.Add(line(0)); !errors.Is(err, queue.ErrFull) {
		t.Error(err)
	}
	batch, err := q.Oldest()
	if err == nil {
		err = q.Remove(batch, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	add(t, q, 0, 1)
}

// TestDecisionsSurviveTheProcess kills a process right after it added decisions.
func TestDecisionsSurviveTheProcess(t *testing.T) {
	base := private(t)
	if os.Getenv("QUEUE_OF_CHILD") != "" {
		add(t, open(t, os.Getenv("QUEUE_OF_CHILD")), 0, 300)
		fmt.Println("added")
		select {}
	}
	child := exec.Command(os.Args[0], "-test.run", "^TestDecisionsSurviveTheProcess$")
	child.Env = append(os.Environ(), "QUEUE_OF_CHILD="+base)
	printed, err := child.StdoutPipe()
	if err == nil {
		err = child.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := printed.Read(make([]byte, 8)); err != nil {
		t.Error(err)
	}
	// While it lives its decisions are its own.
	other := open(t, base)
	counts(t, other, 0, 0)
	add(t, other, 300, 1)
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait()
	// A torn line, as of a crash in the middle of a write.
	torn := files(t, base, ".open")
	for _, path := range torn {
		if strings.Contains(path, "-0/") {
			file, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := file.WriteString(`{"id":`); err != nil || file.Close() != nil {
				t.Fatal(err)
			}
		}
	}
	if len(torn) != 2 {
		t.Fatalf("expected a batch in progress of each process, found %v", torn)
	}
	third := open(t, base)
	<-third.Filled()
	counts(t, third, 300, 0)
	batches := taken(t, third)
	if len(batches) != 2 || len(batches[0].Lines) != 256 || len(batches[1].Lines) != 44 || batches[1].Lines[43] != line(299) {
		t.Errorf("%d batches", len(batches))
	}
	counts(t, other, 1, 0)
}

func TestLeftOversOfEndedProcessesAreMoved(t *testing.T) {
	base := private(t)
	first, second := open(t, base), open(t, base)
	add(t, first, 0, 1)
	add(t, second, 1, 1)
	for _, q := range []queue.Queue{first, second} {
		if err := errors.Join(q.End(), q.Close()); err != nil {
			t.Fatal(err)
		}
	}
	third := open(t, base)
	counts(t, third, 2, 0)
	fourth := open(t, base)
	counts(t, fourth, 0, 0)
	if len(taken(t, third)) != 2 || len(files(t, base, ".batch")) != 0 {
		t.Error(files(t, base, ""))
	}
}

func TestDecisionsOfAnotherDeploymentStay(t *testing.T) {
	base := private(t)
	for _, other := range []string{audience + "-0", "../" + audience, "a/b", "."} {
		q, err := queue.OnDisk(base, other, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(other, err)
		}
		add(t, q, 0, 1)
		if err := errors.Join(q.End(), q.Close()); err != nil {
			t.Fatal(err)
		}
	}
	counts(t, open(t, base), 0, 0)
	if found := files(t, base, ".batch"); len(found) != 4 {
		t.Error(found)
	}
}

func TestRefusedDecisionsAreKeptInAFile(t *testing.T) {
	base := private(t)
	q := open(t, base)
	add(t, q, 0, 3)
	if err := q.Seal(); err != nil {
		t.Fatal(err)
	}
	batch, err := q.Oldest()
	if err == nil {
		err = q.Remove(batch, batch.Lines[1:2])
	}
	if err != nil {
		t.Fatal(err)
	}
	found := files(t, base, ".batch")
	if len(found) != 1 || filepath.Base(filepath.Dir(found[0])) != "refused" {
		t.Fatal(found)
	}
	if text, err := os.ReadFile(found[0]); err != nil || string(text) != line(1)+"\n" {
		t.Errorf("%s, %v", text, err)
	}
}

func TestFilesThatAreNoDecisionsArePutAside(t *testing.T) {
	base := private(t)
	q := open(t, base)
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(base, "go-"+audience+"-0")
	for name, text := range map[string]string{
		"1.batch": "not JSON\n", "2.batch": "[1]\n", "3.open": strings.Repeat("{}\n", 257), "4.batch": "", "5.batch": `{"to`,
		"6.batch": strings.Repeat("x", 5<<20), "7.batch": "{}\n",
	} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	q = open(t, base)
	if batches := taken(t, q); len(batches) != 1 || batches[0].Key != "7" {
		t.Error(batches)
	}
	if found := files(t, filepath.Join(folder, "refused"), ".batch"); len(found) != 4 {
		t.Error(found)
	}
	counts(t, q, 0, 4)
}

func TestFoldersThatOthersCanUseAreRefused(t *testing.T) {
	base := private(t)
	if err := os.Mkdir(base, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, mode := range []os.FileMode{0o750, 0o705, 0o720, 0o702} {
		if err := os.Chmod(base, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := queue.OnDisk(base, audience, slog.Default()); err == nil {
			t.Errorf("a folder of mode %o is used", mode)
		}
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{file, filepath.Join(file, "below")} {
		if _, err := queue.OnDisk(path, audience, slog.Default()); err == nil {
			t.Errorf("%s is used", path)
		}
	}
}

func TestADecisionThatCannotBeWrittenDoesNotCount(t *testing.T) {
	base := private(t)
	q := open(t, base)
	if err := os.RemoveAll(base); err != nil {
		t.Fatal(err)
	}
	if err := q.Add(line(0)); err == nil {
		t.Error("a decision was added to a folder that is gone")
	}
	counts(t, q, 0, 0)
}
