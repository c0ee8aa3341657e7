package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
)

// attempt is a condition and what it is evaluated on. Context, plan and facts are JSON texts.
type attempt struct {
	When    string  `json:"when"`
	Context string  `json:"context"`
	Plan    *string `json:"plan,omitempty"`
	Facts   string  `json:"facts"`
	Agent   string  `json:"agent"`
	Action  string  `json:"action"`
	Now     int64   `json:"now"`
}

// answer is the result of an attempt: `true`, `false`, `error` if the evaluation failed, `refused` if the check
// did, and why. A refusal of signoff has one or more faults.
type answer struct {
	result, why string
	faults      []string
}

const (
	yes     = "true"
	no      = "false"
	failed  = "error"
	refused = "refused"
)

// ours is signoff's evaluator, which answers line by line.
type ours struct {
	command *exec.Cmd
	input   io.WriteCloser
	output  *bufio.Reader
	failure bytes.Buffer
	// The number of the answer to falsify, and of answers so far.
	wrongAt, answers int
}

func startOurs(program string) (*ours, error) {
	o := &ours{command: exec.Command(program)}
	o.command.Stderr = &o.failure
	var err error
	if o.input, err = o.command.StdinPipe(); err != nil {
		return nil, err
	}
	output, err := o.command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	o.output = bufio.NewReader(output)
	return o, o.command.Start()
}

func (o *ours) stop() error {
	o.input.Close()
	return o.command.Wait()
}

func (o *ours) evaluate(asked attempt) (answer, error) {
	line, err := json.Marshal(asked)
	if err != nil {
		return answer{}, err
	}
	if _, err := o.input.Write(append(line, '\n')); err != nil {
		return answer{}, o.died(line, err)
	}
	line, err = o.output.ReadBytes('\n')
	if err != nil {
		return answer{}, o.died(line, err)
	}
	var said struct {
		Bool                 *bool
		Error, Contradiction *string
		Refused              []string
	}
	if err := json.Unmarshal(line, &said); err != nil {
		return answer{}, err
	}
	switch {
	case said.Bool != nil:
		o.answers++
		return answer{result: fmt.Sprint(*said.Bool != (o.answers == o.wrongAt))}, nil
	case said.Error != nil:
		return answer{result: failed, why: *said.Error}, nil
	case said.Refused != nil:
		return answer{refused, strings.Join(said.Refused, "; "), said.Refused}, nil
	case said.Contradiction != nil:
		return answer{result: "contradiction", why: *said.Contradiction}, nil
	}
	return answer{}, fmt.Errorf("signoff answered %s", line)
}

func (o *ours) died(asked []byte, err error) error {
	ended := o.stop()
	return errors.Join(fmt.Errorf("signoff stopped at %s: %w: %s", asked, err, o.failure.String()), ended)
}

// function is one overload of a function that a condition may call.
type function struct {
	Name   string
	Method bool
	Takes  []string
	Gives  string
}

// key identifies the overloads with one number of arguments.
func (f function) key() string {
	if f.Method {
		return fmt.Sprintf("x.%s/%d", f.Name, len(f.Takes)-1)
	}
	return fmt.Sprintf("%s/%d", f.Name, len(f.Takes))
}

// functions asks signoff for the functions of its language.
func functions(program string) ([]function, error) {
	printed, err := exec.Command(program, "functions").Output()
	if err != nil {
		return nil, err
	}
	var all []function
	for line := range bytes.Lines(printed) {
		var one function
		if err := json.Unmarshal(line, &one); err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, nil
}
