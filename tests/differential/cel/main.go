// Evaluates conditions with cel-go, the reference implementation. It reads and prints the same lines as
// guest/policy/examples/outcomes.rs.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/ext"
)

func main() {
	env, err := cel.NewEnv(
		cel.OptionalTypes(), ext.Strings(), ext.Lists(), ext.Math(),
		cel.CrossTypeNumericComparisons(true),
		cel.Variable("agent", cel.StringType), cel.Variable("action", cel.StringType),
		cel.Variable("context", cel.MapType(cel.StringType, cel.DynType)),
		cel.Variable("plan", cel.DynType), cel.Variable("now", cel.TimestampType),
	)
	if err != nil {
		panic(err)
	}
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		fmt.Println(outcome(env, lines.Text()))
	}
}

func outcome(env *cel.Env, line string) string {
	var asked struct{ When, Context string }
	if err := json.Unmarshal([]byte(line), &asked); err != nil {
		return "refused"
	}
	ast, issues := env.Compile(asked.When)
	if issues.Err() != nil {
		return "refused"
	}
	program, err := env.Program(ast)
	if err != nil {
		return "refused"
	}
	decoder := json.NewDecoder(strings.NewReader(asked.Context))
	decoder.UseNumber()
	var context any
	if err := decoder.Decode(&context); err != nil {
		return "refused"
	}
	answer, _, err := program.Eval(map[string]any{
		"agent": "inbox", "action": "quarantine", "context": exact(context), "plan": nil,
		"now": time.Unix(1760697000, 0).UTC(),
	})
	if err != nil {
		return "error"
	}
	if bool, ok := answer.Value().(bool); ok {
		return fmt.Sprint(bool)
	}
	return "error"
}

// Integers as integers, and everything else as it is.
func exact(value any) any {
	switch value := value.(type) {
	case json.Number:
		if !strings.ContainsAny(value.String(), ".eE") {
			if number, err := value.Int64(); err == nil {
				return number
			}
		}
		number, _ := value.Float64()
		return number
	case []any:
		for at, item := range value {
			value[at] = exact(item)
		}
		return value
	case map[string]any:
		for key, item := range value {
			value[key] = exact(item)
		}
		return value
	default:
		return value
	}
}
