package strict

import (
	"encoding"
	"encoding/json"
	"math/big"
	"reflect"
	"sync"
)

// form is how a type is encoded.
type form int

const (
	// plain types are encoded by their kind.
	plain form = iota
	rawText
	numberText
	wholeNumber
	marshals
	marshalsByPointer
	printsText
	printsTextByPointer
)

var (
	rawType    = reflect.TypeFor[json.RawMessage]()
	numberType = reflect.TypeFor[json.Number]()
	wholeType  = reflect.TypeFor[big.Int]()
	marshaler  = reflect.TypeFor[json.Marshaler]()
	textual    = reflect.TypeFor[encoding.TextMarshaler]()
)

var knownForms sync.Map

func formOf(kind reflect.Type) form {
	if found, ok := knownForms.Load(kind); ok {
		return found.(form)
	}
	found := newForm(kind)
	knownForms.Store(kind, found)
	return found
}

func newForm(kind reflect.Type) form {
	isPointer := kind.Kind() == reflect.Pointer
	switch {
	case kind == rawType:
		return rawText
	case kind == numberType:
		return numberText
	case kind == wholeType:
		return wholeNumber
	case kind.Kind() == reflect.Interface, isPointer && (kind.Elem() == rawType || kind.Elem() == wholeType):
		// What it leads to has a form of its own.
		return plain
	case kind.Implements(marshaler):
		return marshals
	case !isPointer && reflect.PointerTo(kind).Implements(marshaler):
		return marshalsByPointer
	case kind.Implements(textual):
		return printsText
	case !isPointer && reflect.PointerTo(kind).Implements(textual):
		return printsTextByPointer
	default:
		return plain
	}
}
