package strict

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
)

// Field is a member of a struct as encoding/json names it.
type Field struct {
	Name string
	// Type is the field's type.
	Type reflect.Type

	index               []int
	omitEmpty, omitZero bool
}

// In returns the field's value; it is not there if the field is omitted, or below an embedded nil
// pointer.
func (f *Field) In(v reflect.Value) (value reflect.Value, there bool) {
	for _, index := range f.index {
		if v.Kind() == reflect.Pointer {
			if v.IsNil() {
				return reflect.Value{}, false
			}
			v = v.Elem()
		}
		v = v.Field(index)
	}
	if f.omitZero && isZero(v) || f.omitEmpty && isEmpty(v) {
		return reflect.Value{}, false
	}
	return v, true
}

// errSameName is the reason for which a struct is refused.
var errSameName = errors.New("two fields have the same name")

type known struct {
	fields []Field
	err    error
}

var knownTypes sync.Map

// Fields returns the members of a struct type, in order. A field hides those of the same name that are
// embedded deeper.
//
// Errors: the tag's option `string`; two fields with the same name at the same depth, which encoding/json
// leaves out.
func Fields(structure reflect.Type) ([]Field, error) {
	if found, ok := knownTypes.Load(structure); ok {
		return found.(known).fields, found.(known).err
	}
	fields, err := fieldsOf(structure)
	knownTypes.Store(structure, known{fields, err})
	return fields, err
}

func fieldsOf(structure reflect.Type) ([]Field, error) {
	var all []Field
	if err := collect(structure, nil, []reflect.Type{structure}, &all); err != nil {
		return nil, err
	}
	shallowest := map[string]int{}
	for _, field := range all {
		if depth, ok := shallowest[field.Name]; !ok || len(field.index) < depth {
			shallowest[field.Name] = len(field.index)
		}
	}
	var fields []Field
	taken := map[string]bool{}
	for _, field := range all {
		if len(field.index) > shallowest[field.Name] {
			continue
		}
		if taken[field.Name] {
			return nil, fmt.Errorf("%w: `%s` in %s", errSameName, field.Name, structure)
		}
		taken[field.Name] = true
		fields = append(fields, field)
	}
	return fields, nil
}

// collect appends the fields of a struct and of the structs embedded in it. `above` are the structs that
// embed this one: one that embeds itself by a pointer is followed once.
func collect(structure reflect.Type, index []int, above []reflect.Type, all *[]Field) error {
	for position := range structure.NumField() {
		field := structure.Field(position)
		tag := field.Tag.Get("json")
		if tag == "-" {
			continue
		}
		name, rest, _ := strings.Cut(tag, ",")
		here := append(append([]int(nil), index...), position)
		embedded := field.Type
		if embedded.Kind() == reflect.Pointer {
			embedded = embedded.Elem()
		}
		if field.Anonymous && name == "" && embedded.Kind() == reflect.Struct {
			if !contains(above, embedded) {
				if err := collect(embedded, here, append(above[:len(above):len(above)], embedded), all); err != nil {
					return err
				}
			}
			continue
		}
		if !field.IsExported() {
			continue
		}
		if name == "" {
			name = field.Name
		}
		found := Field{Name: name, Type: field.Type, index: here}
		for option := range strings.SplitSeq(rest, ",") {
			switch option {
			case "string":
				return fmt.Errorf("the tag option `string` of field %s is not supported", field.Name)
			case "omitempty":
				found.omitEmpty = true
			case "omitzero":
				found.omitZero = true
			}
		}
		*all = append(*all, found)
	}
	return nil
}

func contains(types []reflect.Type, one reflect.Type) bool {
	for _, each := range types {
		if each == one {
			return true
		}
	}
	return false
}

// isZero follows `omitzero`: the method IsZero decides if there is one.
func isZero(v reflect.Value) bool {
	if v.CanInterface() {
		if zero, ok := v.Interface().(interface{ IsZero() bool }); ok {
			return v.Kind() == reflect.Pointer && v.IsNil() || zero.IsZero()
		}
	}
	return v.IsZero()
}

// isEmpty follows `omitempty`.
func isEmpty(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Array, reflect.Map, reflect.Slice, reflect.String:
		return v.Len() == 0
	case reflect.Struct:
		return false
	default:
		return v.IsZero()
	}
}
