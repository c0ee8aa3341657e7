// Package policy evaluates policies: components of world `policy` in wit/policy.wit. A policy and its
// verdicts are untrusted input.
package policy

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"signoff.dev/signoff/internal/wasm"
)

const (
	evaluateName = "signoff:approval/guardrails@0.1.0#evaluate"
	postName     = "cabi_post_" + evaluateName
	reallocName  = "cabi_realloc"
	pageBytes    = 64 << 10
	// tableElementsMax is the limit of the server.
	tableElementsMax = 65_536
	// TimeMax limits one evaluation.
	TimeMax = 10 * time.Second
)

// errClosed is the failure of an evaluation after Close.
var errClosed = errors.New("the policy was replaced")

// Module is a compiled policy. Any number of goroutines may use it.
type Module struct {
	runtime  wazero.Runtime
	compiled wazero.CompiledModule
	timeMax  time.Duration
	// places limits how many instances exist at once: an evaluation only computes, so that more than
	// there are processors would need more memory and save no time.
	places chan struct{}

	// mutex is held for reading during evaluations, so that Close waits for them.
	mutex  sync.RWMutex
	closed bool
}

// Compile compiles a policy whose instances may have that much memory. It uses the cache folder if one is
// named. `timeMax` limits one evaluation.
//
// Errors: a component that this runtime cannot run, see [wasm.CoreModule]; tables without a limit; other
// exports than those of a policy; more memory at the start than is allowed.
func Compile(component []byte, memoryBytes uint64, timeMax time.Duration, cache string) (*Module, error) {
	core, err := wasm.CoreModule(component)
	if err != nil {
		return nil, err
	}
	if err := wasm.CheckTables(core, tableElementsMax); err != nil {
		return nil, err
	}
	ctx := context.Background()
	config := wazero.NewRuntimeConfig().WithDebugInfoEnabled(false).WithCloseOnContextDone(true).
		WithMemoryLimitPages(uint32(min(memoryBytes/pageBytes, 1<<16)))
	if cache != "" {
		opened, err := wazero.NewCompilationCacheWithDir(cache)
		if err != nil {
			return nil, fmt.Errorf("the cache of compiled policies: %w", err)
		}
		config = config.WithCompilationCache(opened)
	}
	engine := wazero.NewRuntimeWithConfig(ctx, config)
	compiled, err := engine.CompileModule(ctx, core)
	if err == nil {
		err = hasShape(compiled)
	}
	if err != nil {
		return nil, errors.Join(err, engine.Close(ctx))
	}
	return &Module{
		runtime: engine, compiled: compiled, timeMax: timeMax, places: make(chan struct{}, runtime.GOMAXPROCS(0)),
	}, nil
}

// hasShape checks that a module imports nothing and exports what an evaluation needs.
func hasShape(module wazero.CompiledModule) error {
	const i32, i64 = api.ValueTypeI32, api.ValueTypeI64
	if len(module.ImportedFunctions())+len(module.ImportedMemories()) > 0 {
		return errors.New("it has imports")
	}
	if module.ExportedMemories()["memory"] == nil {
		return errors.New("it does not export `memory`")
	}
	exports := module.ExportedFunctions()
	for name, shape := range map[string][2][]api.ValueType{
		reallocName: {{i32, i32, i32, i32}, {i32}},
		// Five texts, one of them optional, and the time.
		evaluateName: {append(slices.Repeat([]api.ValueType{i32}, 11), i64), {i32}},
		postName:     {{i32}, nil},
	} {
		function := exports[name]
		if function == nil {
			if name == postName {
				continue
			}
			return fmt.Errorf("it does not export `%s`", name)
		}
		if !slices.Equal(function.ParamTypes(), shape[0]) || !slices.Equal(function.ResultTypes(), shape[1]) {
			return fmt.Errorf("`%s` has another type", name)
		}
	}
	return nil
}

// Attempt is the record of wit/policy.wit. Context, plan and facts are canonical texts.
type Attempt struct {
	Agent, Action, Context string
	// Plan is nil if there is none.
	Plan  *string
	Facts string
	// Now is in whole seconds since 1970.
	Now uint64
}

// Evaluate returns the verdict on an attempt, made in a fresh instance.
//
// Errors: a trap, more memory or time than is allowed, a malformed verdict, the end of the context. None
// of them is a verdict.
func (m *Module) Evaluate(ctx context.Context, attempt Attempt) (*Verdict, error) {
	select {
	case m.places <- struct{}{}:
		defer func() { <-m.places }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	m.mutex.RLock()
	defer m.mutex.RUnlock()
	if m.closed {
		return nil, errClosed
	}
	ctx, cancel := context.WithTimeout(ctx, m.timeMax)
	defer cancel()
	// Without a name, so that there can be many; only a start section runs, as in a component.
	config := wazero.NewModuleConfig().WithName("").WithStartFunctions()
	module, err := m.runtime.InstantiateModule(ctx, m.compiled, config)
	if err != nil {
		return nil, fmt.Errorf("an instance cannot be made: %w", err)
	}
	// Closing an instance without a file system or a listener cannot fail.
	defer func() { _ = module.Close(context.WithoutCancel(ctx)) }()
	made := instance{ctx: ctx, module: module, memory: module.Memory()}
	return made.evaluate(attempt)
}

// Close frees the compiled code once no evaluation uses it. Later evaluations fail.
func (m *Module) Close() {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	m.closed = true
	// A runtime without host modules has nothing whose closing can fail.
	_ = m.runtime.Close(context.Background())
}
