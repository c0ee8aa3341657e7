// Package strict encodes Go values as JSON, like encoding/json, but refuses what encoding/json would
// change silently.
package strict

import (
	"bytes"
	"encoding"
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// depthMax is the number of objects and lists in each other that the verifier accepts.
const depthMax = 64

// sizeExpected is the capacity that a text begins with, enough for most.
const sizeExpected = 1024

// Error is the refusal of a value.
type Error struct {
	// Path leads to the value, such as `context.items[2].price`.
	Path string
	// Reason is what is wrong with it.
	Reason string
}

func (e *Error) Error() string {
	return "`" + e.Path + "`: " + e.Reason
}

// Encode returns a value as JSON. `name` begins the paths of errors; the text has at most `limit`
// bytes.
//
// Structs follow the tags of encoding/json, except for the option `string`. [json.RawMessage] and the
// output of a [json.Marshaler] must be one JSON value and are passed as they are. [encoding.TextMarshaler]
// gives a string, [*big.Int] and [json.Number] a number. Maps are sorted by key; a nil map or slice
// is null.
//
// Refused: bytes, NaN and infinities, text that is not UTF-8, keys that are not strings, channels,
// functions, complex numbers, two fields with the same name, cycles, and more than 64 levels.
func Encode(name string, value any, limit int) (string, error) {
	e := encoder{out: make([]byte, 0, sizeExpected), limit: limit, path: append(make(path, 0, 8), step{name: name})}
	if err := e.value(reflect.ValueOf(value)); err != nil {
		return "", err
	}
	if err := e.fits(); err != nil {
		return "", err
	}
	return string(e.out), nil
}

// Text returns a context or plan as JSON: a string or [json.RawMessage] is the text itself and must be
// one JSON value of at most `limit` bytes; any other value is encoded.
func Text(name string, value any, limit int) (string, error) {
	if text, ok := value.(string); ok {
		value = json.RawMessage(text)
	}
	return Encode(name, value, limit)
}

type encoder struct {
	out   []byte
	limit int
	path  path
	depth int
	// above holds the pointers, maps and slices that contain the current value.
	above []reference
}

type reference struct {
	pointer uintptr
	length  int
	kind    reflect.Type
}

func (e *encoder) refuse(format string, values ...any) error {
	return &Error{e.path.String(), fmt.Sprintf(format, values...)}
}

// fits refuses a text that became too large. It is checked before each value, so that a value that is
// small but leads to itself in many ways ends early.
func (e *encoder) fits() error {
	if len(e.out) > e.limit {
		return e.refuse("the JSON text is larger than %d bytes", e.limit)
	}
	return nil
}

func (e *encoder) value(v reflect.Value) error {
	if err := e.fits(); err != nil {
		return err
	}
	if !v.IsValid() {
		return e.text("null")
	}
	if done, err := e.special(v); done {
		return err
	}
	switch v.Kind() {
	case reflect.Bool:
		return e.text(strconv.FormatBool(v.Bool()))
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		e.out = strconv.AppendInt(e.out, v.Int(), 10)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		e.out = strconv.AppendUint(e.out, v.Uint(), 10)
	case reflect.Float32, reflect.Float64:
		return e.float(v.Float(), v.Type().Bits())
	case reflect.String:
		return e.string(v.String())
	case reflect.Interface:
		return e.value(v.Elem())
	case reflect.Pointer:
		if v.IsNil() {
			return e.text("null")
		}
		return e.inside(v, func() error { return e.value(v.Elem()) })
	case reflect.Map:
		return e.mapping(v)
	case reflect.Struct:
		return e.nested(func() error { return e.structure(v) })
	case reflect.Slice, reflect.Array:
		return e.list(v)
	default:
		return e.refuse("a %s is not JSON", v.Type())
	}
	return nil
}

// special encodes types whose form does not follow from their kind; done is false for all others.
func (e *encoder) special(v reflect.Value) (done bool, err error) {
	form := formOf(v.Type())
	if form == plain || v.Kind() == reflect.Pointer && v.IsNil() {
		return false, nil
	}
	switch form {
	case rawText:
		return true, e.raw(v.Bytes())
	case numberText:
		return true, e.number(v.String())
	case wholeNumber:
		return true, e.text(addressable(v).Addr().Interface().(*big.Int).String())
	case marshals:
		return true, e.marshaled(v.Interface().(json.Marshaler))
	case marshalsByPointer:
		return true, e.marshaled(addressable(v).Addr().Interface().(json.Marshaler))
	case printsText:
		return true, e.marshaledText(v.Interface().(encoding.TextMarshaler))
	default:
		return true, e.marshaledText(addressable(v).Addr().Interface().(encoding.TextMarshaler))
	}
}

// addressable returns the value itself or a copy of it that has an address, so that a method with a
// pointer receiver is found; encoding/json skips such a method for some values.
func addressable(v reflect.Value) reflect.Value {
	if v.CanAddr() {
		return v
	}
	copied := reflect.New(v.Type()).Elem()
	copied.Set(v)
	return copied
}

func (e *encoder) text(text string) error {
	e.out = append(e.out, text...)
	return nil
}

func (e *encoder) marshaled(value json.Marshaler) error {
	text, err := value.MarshalJSON()
	if err != nil {
		return e.refuse("%v", err)
	}
	return e.raw(text)
}

func (e *encoder) marshaledText(value encoding.TextMarshaler) error {
	text, err := value.MarshalText()
	if err != nil {
		return e.refuse("%v", err)
	}
	return e.string(string(text))
}

// raw passes a JSON text, which must be exactly one value so that it cannot close what surrounds it.
func (e *encoder) raw(text []byte) error {
	if !utf8.Valid(text) {
		return e.refuse("a JSON text that is not UTF-8")
	}
	if !json.Valid(text) {
		return e.refuse("a JSON text that is not exactly one value")
	}
	e.out = append(e.out, bytes.TrimSpace(text)...)
	return nil
}

func (e *encoder) number(text string) error {
	first := byte(0)
	if text != "" {
		first = text[0]
	}
	if (first != '-' && (first < '0' || first > '9')) || !json.Valid([]byte(text)) {
		return e.refuse("a json.Number that is not a number")
	}
	return e.text(text)
}

// float prints the shortest text that is read back as the same number, with an exponent where
// encoding/json has one.
func (e *encoder) float(number float64, bits int) error {
	if math.IsNaN(number) || math.IsInf(number, 0) {
		return e.refuse("%v is not JSON", number)
	}
	form := byte('f')
	if size := math.Abs(number); size != 0 && (size < 1e-6 || size >= 1e21) {
		form = 'e'
	}
	e.out = strconv.AppendFloat(e.out, number, form, -1, bits)
	return nil
}

const hexDigits = "0123456789abcdef"

func (e *encoder) string(text string) error {
	if !utf8.ValidString(text) {
		return e.refuse("text that is not UTF-8")
	}
	e.out = append(e.out, '"')
	start := 0
	for index := range len(text) {
		char := text[index]
		if char >= ' ' && char != '"' && char != '\\' {
			continue
		}
		e.out = append(e.out, text[start:index]...)
		start = index + 1
		if char < ' ' {
			e.out = append(e.out, '\\', 'u', '0', '0', hexDigits[char>>4], hexDigits[char&15])
		} else {
			e.out = append(e.out, '\\', char)
		}
	}
	e.out = append(append(e.out, text[start:]...), '"')
	return nil
}

func (e *encoder) list(v reflect.Value) error {
	if v.Type().Elem().Kind() == reflect.Uint8 {
		return e.refuse("bytes are not JSON; encode them as text")
	}
	if v.Kind() == reflect.Slice && v.IsNil() {
		return e.text("null")
	}
	items := func() error {
		e.out = append(e.out, '[')
		for index := range v.Len() {
			if index > 0 {
				e.out = append(e.out, ',')
			}
			if err := e.at(step{index: index}, v.Index(index)); err != nil {
				return err
			}
		}
		e.out = append(e.out, ']')
		return nil
	}
	if v.Kind() == reflect.Array || v.Len() == 0 {
		return e.nested(items)
	}
	return e.nested(func() error { return e.inside(v, items) })
}

func (e *encoder) mapping(v reflect.Value) error {
	if v.Type().Key().Kind() != reflect.String {
		return e.refuse("the keys of a map must be strings, they are %s", v.Type().Key())
	}
	if v.IsNil() {
		return e.text("null")
	}
	keys := v.MapKeys()
	slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
	return e.nested(func() error {
		return e.inside(v, func() error {
			e.out = append(e.out, '{')
			for index, key := range keys {
				if err := e.member(index == 0, key.String(), v.MapIndex(key)); err != nil {
					return err
				}
			}
			e.out = append(e.out, '}')
			return nil
		})
	})
}

func (e *encoder) structure(v reflect.Value) error {
	fields, err := Fields(v.Type())
	if err != nil {
		return e.refuse("%v", err)
	}
	e.out = append(e.out, '{')
	first := true
	for _, field := range fields {
		value, there := field.In(v)
		if !there {
			continue
		}
		if err := e.member(first, field.Name, value); err != nil {
			return err
		}
		first = false
	}
	e.out = append(e.out, '}')
	return nil
}

func (e *encoder) member(first bool, name string, value reflect.Value) error {
	if !first {
		e.out = append(e.out, ',')
	}
	e.path = append(e.path, step{name: name})
	defer func() { e.path = e.path[:len(e.path)-1] }()
	if err := e.string(name); err != nil {
		return err
	}
	e.out = append(e.out, ':')
	return e.value(value)
}

func (e *encoder) at(place step, value reflect.Value) error {
	e.path = append(e.path, place)
	defer func() { e.path = e.path[:len(e.path)-1] }()
	return e.value(value)
}

// nested encodes an object or a list, which is one level deeper.
func (e *encoder) nested(encode func() error) error {
	if e.depth++; e.depth > depthMax {
		return e.refuse("more than %d levels", depthMax)
	}
	defer func() { e.depth-- }()
	return encode()
}

// inside encodes what a pointer, map or slice leads to, unless it contains itself.
func (e *encoder) inside(v reflect.Value, encode func() error) error {
	here := reference{pointer: v.Pointer(), kind: v.Type()}
	if v.Kind() == reflect.Slice {
		here.length = v.Len()
	}
	if slices.Contains(e.above, here) {
		return e.refuse("the value contains itself")
	}
	e.above = append(e.above, here)
	defer func() { e.above = e.above[:len(e.above)-1] }()
	return encode()
}
