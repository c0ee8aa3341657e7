package strict

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"reflect"
	"strconv"
	"strings"
)

// Decode stores a JSON text in the value that `target` points to. Numbers in interfaces are
// [json.Number].
//
// Errors: those of encoding/json; a member for which a struct has no field of exactly its name; a number
// that the type would round.
func Decode(name, text string, target any) error {
	value, err := Value(text)
	if err != nil {
		return &Error{name, err.Error()}
	}
	place := reflect.ValueOf(target)
	if place.Kind() != reflect.Pointer || place.IsNil() {
		return &Error{name, fmt.Sprintf("expected a pointer to store it in, found %T", target)}
	}
	if err := fits(path{{name: name}}, value, place.Type().Elem()); err != nil {
		return err
	}
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(target); err != nil {
		return &Error{name, err.Error()}
	}
	return nil
}

// Value parses a JSON text of one value, with numbers as [json.Number].
func Value(text string) (any, error) {
	var value any
	if !json.Valid([]byte(text)) {
		return nil, errors.New("it is not exactly one JSON value")
	}
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	err := decoder.Decode(&value)
	return value, err
}

var unmarshaler = reflect.TypeFor[json.Unmarshaler]()

// fits checks that decoding a value into a type loses nothing. A type that decodes itself decides alone.
func fits(at path, value any, kind reflect.Type) error {
	if reflect.PointerTo(kind).Implements(unmarshaler) {
		return nil
	}
	if kind.Kind() == reflect.Pointer {
		return fits(at, value, kind.Elem())
	}
	switch value := value.(type) {
	case json.Number:
		if isRounded(value, kind) {
			return &Error{at.String(), fmt.Sprintf("%s cannot hold %s exactly", kind, value)}
		}
	case []any:
		if kind.Kind() == reflect.Array && kind.Len() < len(value) {
			return &Error{at.String(), fmt.Sprintf("%s cannot hold %d items", kind, len(value))}
		}
		if kind.Kind() == reflect.Slice || kind.Kind() == reflect.Array {
			for index, item := range value {
				if err := fits(append(at[:len(at):len(at)], step{index: index}), item, kind.Elem()); err != nil {
					return err
				}
			}
		}
	case map[string]any:
		return membersFit(at, value, kind)
	}
	return nil
}

func membersFit(at path, members map[string]any, kind reflect.Type) error {
	var fields []Field
	switch kind.Kind() {
	case reflect.Map:
	case reflect.Struct:
		var err error
		if fields, err = Fields(kind); err != nil {
			return &Error{at.String(), err.Error()}
		}
	default:
		return nil
	}
	for name, member := range members {
		here := append(at[:len(at):len(at)], step{name: name})
		inner := kind
		if kind.Kind() == reflect.Map {
			inner = kind.Elem()
		} else if inner = typeOf(fields, name); inner == nil {
			return &Error{here.String(), fmt.Sprintf("%s has no field of this name", kind)}
		}
		if err := fits(here, member, inner); err != nil {
			return err
		}
	}
	return nil
}

func typeOf(fields []Field, name string) reflect.Type {
	for _, field := range fields {
		if field.Name == name {
			return field.Type
		}
	}
	return nil
}

// isRounded reports whether a float type would hold another number than the text says: one whose shortest
// text has another value. Integer types refuse what they cannot hold in encoding/json.
func isRounded(number json.Number, kind reflect.Type) bool {
	if kind.Kind() != reflect.Float32 && kind.Kind() != reflect.Float64 {
		return false
	}
	near, err := strconv.ParseFloat(number.String(), kind.Bits())
	if err != nil {
		return true
	}
	said, first := new(big.Rat).SetString(number.String())
	held, second := new(big.Rat).SetString(strconv.FormatFloat(near, 'g', -1, kind.Bits()))
	return !first || !second || said.Cmp(held) != 0
}
