package main

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/ext"
	"cel.dev/cel-go/parser"
)

// theirs is cel-go with the variables and extensions that signoff has. `lenient` is as cel-go is by default; for
// `conforming`, `has` of a member of a value that is not a map fails.
type theirs struct{ lenient, conforming *cel.Env }

func newTheirs() (*theirs, error) {
	lenient, err := cel.NewEnv(
		cel.Macros(parser.AllMacros...), cel.OptionalTypes(), ext.Strings(), ext.Lists(), ext.Math(),
		ext.TwoVarComprehensions(), ext.Bindings(), cel.EnableIdentifierEscapeSyntax(),
		cel.CrossTypeNumericComparisons(true),
		cel.Variable("agent", cel.StringType), cel.Variable("action", cel.StringType),
		cel.Variable("context", cel.MapType(cel.StringType, cel.DynType)),
		cel.Variable("facts", cel.MapType(cel.StringType, cel.StringType)),
		cel.Variable("plan", cel.DynType), cel.Variable("now", cel.TimestampType),
	)
	if err != nil {
		return nil, err
	}
	conforming, err := lenient.Extend(cel.EnableErrorOnBadPresenceTest(true))
	return &theirs{lenient, conforming}, err
}

// refusesTime returns whether cel-go fails with a duration or a timestamp that is a literal.
func (t *theirs) refusesTime(when string) bool {
	return t.anyLiteral(when, func(function, text string) bool {
		return (function == "duration" || function == "timestamp") &&
			t.failsAlone(function+"("+quoted(text)+") == null")
	})
}

// refusesPattern returns whether Go refuses a pattern that is a literal.
func (t *theirs) refusesPattern(when string) bool {
	return t.anyLiteral(when, func(function, text string) bool {
		_, err := regexp.Compile(text)
		return function == "matches" && err != nil
	})
}

// refusesZone returns whether cel-go fails with a time zone that is a literal.
func (t *theirs) refusesZone(when string) bool {
	return t.anyLiteral(when, func(function, text string) bool {
		return strings.HasPrefix(function, "get") && t.failsAlone("timestamp(0).getHours("+quoted(text)+") < 24")
	})
}

// failsAlone returns whether cel-go fails to evaluate a condition that reads nothing.
func (t *theirs) failsAlone(when string) bool {
	said, _, _ := t.evaluate(attempt{When: when, Context: "{}", Facts: "{}"})
	return said.result == failed
}

// anyLiteral returns whether one of the string literals that are the last argument of a function fits.
func (t *theirs) anyLiteral(when string, fits func(function, text string) bool) (found bool) {
	parsed, issues := t.lenient.Parse(when)
	if issues.Err() != nil {
		return false
	}
	ast.PostOrderVisit(parsed.NativeRep().Expr(), ast.NewExprVisitor(func(part ast.Expr) {
		if part.Kind() != ast.CallKind || len(part.AsCall().Args()) == 0 {
			return
		}
		last := part.AsCall().Args()[len(part.AsCall().Args())-1]
		if last.Kind() != ast.LiteralKind {
			return
		}
		if text, ok := last.AsLiteral().(types.String); ok {
			found = found || fits(part.AsCall().FunctionName(), string(text))
		}
	}))
	return found
}

// refusesHas returns whether cel-go fails to evaluate the condition if `has` is as CEL's conformance tests require.
func (t *theirs) refusesHas(asked attempt) bool {
	conforming := &theirs{lenient: t.conforming}
	said, _, _ := conforming.evaluate(asked)
	return said.result == failed
}

// fails returns whether cel-go fails to evaluate a part of a condition, or cannot evaluate it by itself.
func (t *theirs) fails(part *node, asked attempt) bool {
	asked.When = "dyn(" + part.text() + ") == null"
	said, _, unchecked := t.evaluate(asked)
	return said.result == failed || said.result == refused || unchecked != "" || t.refusesHas(asked)
}

// evaluate returns cel-go's answer, and the value if there is one. If only its checker refuses the condition, the
// answer is that of the evaluation without a check, and `unchecked` says why.
func (t *theirs) evaluate(asked attempt) (said answer, value ref.Val, unchecked string) {
	parsed, issues := t.lenient.Parse(asked.When)
	if issues.Err() != nil {
		return answer{result: refused, why: issues.Err().Error()}, nil, ""
	}
	checked, issues := t.lenient.Check(parsed)
	if issues.Err() != nil {
		unchecked, checked = issues.Err().Error(), parsed
	}
	said, value = t.run(checked, asked)
	if unchecked == "" && strings.HasPrefix(said.why, "reference to undefined type") {
		// For a variable whose value is a type, cel-go cannot plan what its checker accepts.
		unchecked = said.why
		said, value = t.run(parsed, asked)
	}
	return said, value, unchecked
}

// evaluateUnchecked evaluates a condition without a check.
func (t *theirs) evaluateUnchecked(asked attempt, options ...cel.ProgramOption) answer {
	parsed, issues := t.lenient.Parse(asked.When)
	if issues.Err() != nil {
		return answer{result: refused}
	}
	said, _ := t.run(parsed, asked, options...)
	return said
}

// evaluateExactly evaluates a condition without a check, and without rounding.
func (t *theirs) evaluateExactly(asked attempt) answer {
	return t.evaluateUnchecked(asked, cel.CustomDecoratorV2(exact))
}

func (t *theirs) run(ast *cel.Ast, asked attempt, options ...cel.ProgramOption) (answer, ref.Val) {
	program, err := t.lenient.Program(ast, options...)
	if err != nil {
		return answer{result: failed, why: err.Error()}, nil
	}
	variables, err := variables(asked)
	if err != nil {
		return answer{result: refused, why: err.Error()}, nil
	}
	value, _, err := program.Eval(variables)
	if err != nil {
		return answer{result: failed, why: err.Error()}, nil
	}
	if bool, ok := value.Value().(bool); ok {
		return answer{result: fmt.Sprint(bool)}, value
	}
	return answer{result: failed, why: "a value of type " + value.Type().TypeName()}, value
}

// wavers returns whether the answer changes from time to time, because it depends on the order of a map's keys.
func (t *theirs) wavers(asked attempt) bool {
	if strings.Contains(asked.When, ".matches(") {
		return false
	}
	first, _, _ := t.evaluate(asked)
	for range 30 {
		if again, _, _ := t.evaluate(asked); again.result != first.result {
			return true
		}
	}
	return false
}

func variables(asked attempt) (map[string]any, error) {
	variables := map[string]any{
		"agent": asked.Agent, "action": asked.Action, "plan": nil, "now": time.Unix(asked.Now, 0).UTC(),
	}
	documents := map[string]string{"context": asked.Context, "facts": asked.Facts}
	if asked.Plan != nil {
		documents["plan"] = *asked.Plan
	}
	for name, text := range documents {
		decoder := json.NewDecoder(strings.NewReader(text))
		decoder.UseNumber()
		var document any
		if err := decoder.Decode(&document); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		variables[name] = numbers(document)
	}
	return variables, nil
}

// numbers returns a JSON value whose integers are int64. Those beyond 64 bits are float64, as in CEL's conversion
// from JSON.
func numbers(value any) any {
	switch value := value.(type) {
	case json.Number:
		if integer, err := value.Int64(); err == nil {
			return integer
		}
		number, _ := value.Float64()
		return number
	case []any:
		for at, item := range value {
			value[at] = numbers(item)
		}
	case map[string]any:
		for key, item := range value {
			value[key] = numbers(item)
		}
	}
	return value
}
