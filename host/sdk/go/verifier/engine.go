package verifier

import (
	"context"
	_ "embed" // the component
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"signoff.dev/signoff/internal/wasm"
)

//go:embed verifier.wasm
var component []byte

const (
	callName = "signoff:approval/wire@0.1.0#call"
	postName = "cabi_post_" + callName
	// memoryKept is the size above which an instance is dropped after a call: memory never shrinks.
	memoryKept = 4 << 20
	// memoryPagesMax limits an instance to 1 GiB, in pages of 64 KiB: a request of 16 MiB needs far less.
	memoryPagesMax = 16 << 10
)

// engine is the compiled module, from which instances are made.
type engine struct {
	runtime wazero.Runtime
	module  wazero.CompiledModule
}

// instance is one copy of the module with its own memory. One goroutine at a time may use it.
type instance struct {
	module              api.Module
	memory              api.Memory
	realloc, call, post api.Function
	stack               [4]uint64
}

// embedded returns the engine of the embedded component, compiled once in this process for each
// cache folder.
func embedded(cache string) (*engine, error) {
	compile, _ := engines.LoadOrStore(cache, sync.OnceValues(func() (*engine, error) {
		core, err := wasm.CoreModule(component)
		if err != nil {
			return nil, fmt.Errorf("the verifier: %w", err)
		}
		return compiled(core, cache)
	}))
	return compile.(func() (*engine, error))()
}

var engines sync.Map

// compiled compiles a core module. It uses the cache folder if one is named.
func compiled(core []byte, cache string) (*engine, error) {
	ctx := context.Background()
	config := wazero.NewRuntimeConfig().WithMemoryLimitPages(memoryPagesMax).WithDebugInfoEnabled(false)
	if cache != "" {
		opened, err := wazero.NewCompilationCacheWithDir(cache)
		if err != nil {
			return nil, fmt.Errorf("the cache of the verifier: %w", err)
		}
		config = config.WithCompilationCache(opened)
	}
	runtime := wazero.NewRuntimeWithConfig(ctx, config)
	module, err := runtime.CompileModule(ctx, core)
	if err == nil {
		err = hasShape(module)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("the verifier does not compile: %w", err), runtime.Close(ctx))
	}
	return &engine{runtime, module}, nil
}

// hasShape checks that a module imports nothing and exports what a call needs.
func hasShape(module wazero.CompiledModule) error {
	if len(module.ImportedFunctions())+len(module.ImportedMemories()) > 0 {
		return errors.New("it has imports")
	}
	if module.ExportedMemories()["memory"] == nil {
		return errors.New("it does not export `memory`")
	}
	for name, shape := range map[string][2]int{"cabi_realloc": {4, 1}, callName: {2, 1}, postName: {1, 0}} {
		function := module.ExportedFunctions()[name]
		if function == nil {
			return fmt.Errorf("it does not export `%s`", name)
		}
		i32 := func(types []api.ValueType, count int) bool {
			return slices.Equal(types, slices.Repeat([]api.ValueType{api.ValueTypeI32}, count))
		}
		if !i32(function.ParamTypes(), shape[0]) || !i32(function.ResultTypes(), shape[1]) {
			return fmt.Errorf("`%s` has another type", name)
		}
	}
	return nil
}

// instantiate makes an instance; it takes about 0.2 ms.
func (e *engine) instantiate() (*instance, error) {
	// Without a name, so that there can be many.
	config := wazero.NewModuleConfig().WithName("")
	module, err := e.runtime.InstantiateModule(context.Background(), e.module, config)
	if err != nil {
		return nil, err
	}
	return &instance{
		module:  module,
		memory:  module.Memory(),
		realloc: module.ExportedFunction("cabi_realloc"),
		call:    module.ExportedFunction(callName),
		post:    module.ExportedFunction(postName),
	}, nil
}

// answer calls the module once. After an error the instance must not be used again.
func (i *instance) answer(request string) (string, error) {
	size := uint64(len(request))
	place, err := i.run(i.realloc, 0, 0, 1, size)
	if err != nil {
		return "", err
	}
	if !i.memory.WriteString(uint32(place), request) {
		return "", errors.New("the place of the request is outside the memory")
	}
	result, err := i.run(i.call, place, size)
	if err != nil {
		return "", err
	}
	answer, err := i.text(uint32(result))
	// The answer is copied, and its memory is freed even if it could not be read.
	if _, failed := i.run(i.post, result); failed != nil {
		err = errors.Join(err, failed)
	}
	return answer, err
}

// text copies the string at a pair of address and length.
func (i *instance) text(pair uint32) (string, error) {
	address, first := i.memory.ReadUint32Le(pair)
	length, second := i.memory.ReadUint32Le(pair + 4)
	text, third := i.memory.Read(address, length)
	if !first || !second || !third {
		return "", errors.New("the answer is outside the memory")
	}
	return string(text), nil
}

// run calls one function without allocating; its result is 0 if it has none.
func (i *instance) run(function api.Function, arguments ...uint64) (uint64, error) {
	copy(i.stack[:], arguments)
	if err := function.CallWithStack(context.Background(), i.stack[:]); err != nil {
		return 0, err
	}
	return i.stack[0], nil
}

// isLarge reports whether the instance holds more memory than is kept for the next call.
func (i *instance) isLarge() bool {
	return i.memory.Size() > memoryKept
}

func (i *instance) close() {
	// Closing an instance without a file system or a listener cannot fail.
	_ = i.module.Close(context.Background())
}
