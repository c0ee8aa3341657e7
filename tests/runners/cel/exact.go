package main

import (
	"fmt"
	"math"
	"math/big"
	"strings"
	"time"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/interpreter"
)

// exact replaces what cel-go rounds or keeps: comparisons of an int or a uint with a double, the text of a duration,
// and the text of a timestamp that is not in UTC.
func exact(part interpreter.InterpretableV2) (interpreter.InterpretableV2, error) {
	call, ok := part.(interpreter.InterpretableCall)
	switch {
	case ok && len(call.Args()) == 2 && comparisons[call.Function()] != nil:
		return &exactComparison{call}, nil
	case ok && len(call.Args()) == 1 && call.Function() == "string":
		return &exactText{call}, nil
	}
	return part, nil
}

var comparisons = map[string]func(order int) bool{
	"_==_": func(order int) bool { return order == 0 },
	"_!=_": func(order int) bool { return order != 0 },
	"_<_":  func(order int) bool { return order < 0 },
	"_<=_": func(order int) bool { return order <= 0 },
	"_>_":  func(order int) bool { return order > 0 },
	"_>=_": func(order int) bool { return order >= 0 },
}

type exactComparison struct{ interpreter.InterpretableCall }

func (c *exactComparison) Exec(frame *interpreter.ExecutionFrame) ref.Val {
	args := c.Args()
	left, right := number(args[0].Exec(frame)), number(args[1].Exec(frame))
	if left == nil || right == nil {
		return c.InterpretableCall.Exec(frame)
	}
	return types.Bool(comparisons[c.Function()](left.Cmp(right)))
}

type exactText struct{ interpreter.InterpretableCall }

func (c *exactText) Exec(frame *interpreter.ExecutionFrame) ref.Val {
	switch value := c.Args()[0].Exec(frame).(type) {
	case types.Duration:
		sign, size := "", uint64(value.Duration)
		if value.Duration < 0 {
			sign, size = "-", -size
		}
		seconds := fmt.Sprintf("%s%d.%09d", sign, size/1e9, size%1e9)
		return types.String(strings.TrimSuffix(strings.TrimRight(seconds, "0"), ".") + "s")
	case types.Timestamp:
		return types.String(value.Time.UTC().Format(time.RFC3339Nano))
	}
	return c.InterpretableCall.Exec(frame)
}

// number returns a value's number; nil if it has none that is finite.
func number(value ref.Val) *big.Float {
	exact := new(big.Float).SetPrec(64)
	switch value := value.(type) {
	case types.Int:
		return exact.SetInt64(int64(value))
	case types.Uint:
		return exact.SetUint64(uint64(value))
	case types.Double:
		if math.IsNaN(float64(value)) || math.IsInf(float64(value), 0) {
			return nil
		}
		return exact.SetFloat64(float64(value))
	}
	return nil
}
