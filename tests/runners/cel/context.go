package main

import (
	"encoding/json"
	"strconv"
	"strings"
)

// members are the members of a random context and the types that they usually have.
var members = map[string]string{
	"b": "bool", "i": "int", "j": "int", "d": "double", "s": "string", "t": "string", "number": "string",
	"when": "string", "lasts": "string",
	"zone": "string", "none": "null", "li": "list:int", "ld": "list:double", "ls": "list:string", "lb": "list:bool",
	"lm": "list:map",
	"ll": "list:list:int", "mixed": "list", "m": "map", "empty": "list:string", "nothing": "map", "big": "int",
}

// memberNames are the names of `members`, sorted, because the order of a map is random.
var memberNames = sortedNames(members)

// document returns a random context or plan as JSON. A few members are missing or have another type.
func (d dice) document() string {
	var fields []string
	for _, name := range memberNames {
		if d.chance(7) {
			continue
		}
		text := d.json(members[name], 2)
		switch {
		case d.chance(4):
			text = d.json("any", 2)
		case name == "when":
			text = quote(d.timestampText())
		case name == "lasts":
			text = quote(d.durationText())
		case name == "zone":
			text = quote(d.zoneText())
		case name == "number":
			text = quote(d.numberText())
		case name == "empty":
			text = "[]"
		case name == "nothing":
			text = "{}"
		case name == "big":
			text = d.of("9223372036854775808", "-9223372036854775809", "18446744073709551616",
				"123456789012345678901234567890", "1", "-7")
		case name == "m":
			text = `{"a": ` + d.json("int", 0) + `, "b": ` + d.json("string", 0) + `, "c": {"d": ` + d.json("list",
				1) + `}, "in": 1, "a b": 2, "é": 3}`
		}
		fields = append(fields, quote(name)+": "+text)
	}
	return "{" + strings.Join(fields, ", ") + "}"
}

// json returns a JSON text of a type.
func (d dice) json(kind string, depth int) string {
	kind, inner, _ := strings.Cut(kind, ":")
	if inner == "" {
		inner = "any"
	}
	switch kind {
	case "bool":
		return d.of("true", "false")
	case "int":
		return strconv.FormatInt(d.integer(), 10)
	case "double":
		return d.doubleText()
	case "string":
		return quote(d.text())
	case "null":
		return "null"
	case "list":
		var items []string
		for range d.IntN(5) {
			items = append(items, d.json(inner, depth-1))
		}
		return "[" + strings.Join(items, ", ") + "]"
	case "map":
		var fields []string
		for _, name := range []string{"a", "b", "k", "é"} {
			if d.chance(60) {
				fields = append(fields, quote(name)+": "+d.json(inner, depth-1))
			}
		}
		return "{" + strings.Join(fields, ", ") + "}"
	}
	if depth <= 0 {
		return d.json(d.of("bool", "int", "double", "string", "null", "int"), 0)
	}
	return d.json(d.of("bool", "int", "double", "string", "null", "list", "map", "list"), depth)
}

func quote(text string) string {
	out, _ := json.Marshal(text)
	return string(out)
}
