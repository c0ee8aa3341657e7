package main

import (
	"maps"
	"slices"
	"strings"
)

// generator makes conditions that are mostly well typed. Types are named as in signoff's table of functions, and
// `list:int` is a list whose items are usually ints.
type generator struct {
	dice
	functions []function
	locals    []local
}

type local struct{ name, kind string }

var kinds = []string{"bool", "int", "uint", "double", "string", "bytes", "list", "map", "null", "timestamp",
	"duration", "type", "optional"}

func base(kind string) string {
	kind, _, _ = strings.Cut(kind, ":")
	return kind
}

func items(kind string) string {
	if _, inner, ok := strings.Cut(kind, ":"); ok && inner != "" {
		return inner
	}
	return "dyn"
}

func sortedNames[V any](of map[string]V) []string { return slices.Sorted(maps.Keys(of)) }

// condition returns a random expression, and the attempt to evaluate it on.
func (d dice) condition(functions []function) (*node, attempt) {
	asked := attempt{
		Context: d.document(), Facts: `{"requester": "ann@example.com"}`, Agent: d.of("inbox", "deployer", "é"),
		Action: d.of("delete", "quarantine", ""), Now: 1760697000 + d.Int64N(1e9),
	}
	if d.chance(20) {
		asked.Facts = `{"claimed_by": "bob@example.com", "requester": "ann@example.com"}`
	}
	if d.chance(70) {
		plan := d.document()
		asked.Plan = &plan
	}
	g := &generator{dice: d, functions: functions}
	switch d.IntN(10) {
	case 0, 1, 2, 3:
		called := pick(d, functions)
		return g.callOf(called, called.Gives, d.IntN(2)), asked
	case 4, 5, 6:
		return g.boolean(1+d.IntN(3), "v"), asked
	}
	return g.expression(pick(d, kinds), 1+d.IntN(3)), asked
}

// expression makes an expression of a type, or once in a while of another one.
func (g *generator) expression(kind string, depth int) *node {
	if kind == "dyn" || g.chance(1) {
		kind = pick(g.dice, kinds)
	}
	if kind == "list" {
		kind = "list:" + g.of("int", "int", "string", "double", "bool", "dyn", "map", "list:int", "uint", "timestamp",
			"duration", "bytes")
	}
	made := g.plain(kind, depth)
	if g.chance(10) {
		made = form(kind, "dyn(§)", made)
	}
	return made
}

func (g *generator) plain(kind string, depth int) *node {
	if depth <= 0 || g.chance(18) {
		return g.leaf(kind)
	}
	switch g.IntN(10) {
	case 0, 1, 2, 3:
		if made := g.call(kind, depth-1); made != nil {
			return made
		}
	case 4:
		return g.choice(kind, depth-1)
	case 5:
		if made := g.inside(kind, depth-1); made != nil {
			return made
		}
	}
	return g.operator(kind, depth-1)
}

// leaf makes a literal or reads a variable.
func (g *generator) leaf(kind string) *node {
	var fitting []string
	for _, one := range g.locals {
		if one.kind == kind || one.kind == "dyn" || base(one.kind) == kind {
			fitting = append(fitting, one.name)
		}
	}
	if len(fitting) > 0 && g.chance(60) {
		return leaf(kind, pick(g.dice, fitting))
	}
	if g.chance(45) {
		if made := g.member(kind); made != nil {
			return made
		}
	}
	return leaf(kind, g.literal(kind))
}

// selections are expressions of a type that are not just a member: absent members, variables, selections.
var selections = map[string][]string{
	"string": {"agent", "action", "context.m.b", "facts.requester", "facts.claimed_by", "facts['requester']",
		"context.ls[0]", "context.ls[1]", "facts.team"},
	"int": {"context.m.a", "context.li[0]", "context.li[2]", "context.m['in']", "context.m['a b']",
		"context.m['é']", "context.m.é", "context.m.in", "context.m.`a b`", "context.absent", "context.i.x",
		"context.li[0].a"},
	"timestamp": {"now"},
	"map":       {"context", "plan", "context.m.c", "context.lm[0]", "{'k': context.i}", "facts"},
	"null":      {"plan", "context.none"},
	"list":      {"context.m.c.d", "plan.li"},
	"bool": {"has(context.i)", "has(context.absent)", "has(context.m.a)", "has(context.m.q)", "has(plan.m)",
		"has(context.i.a)", "has(facts.claimed_by)", "has(context.lm[0].k)", "has(context.big)",
		"has({'a': 1}.a)", "has({'a': null}.a)", "has(context.none.x)", "has(context.s.x)", "has(context.li.x)"},
	"optional": {"context.?i", "context.?absent", "context.?m.a", "context.?m.?q", "context[?'s']",
		"context.li[?0]", "context.li[?9]", "plan.?m.b", "context.?none", "{'a': 1}.?a", "context.i.?x",
		"[1][?1]", "facts.?claimed_by", "context.?m.c.d[0]", "context.?li[0]", "optional.none()"},
}

// member reads a member of the context or the plan, or another variable.
func (g *generator) member(kind string) *node {
	var fitting []string
	for _, name := range memberNames {
		usual := members[name]
		if usual == kind || base(usual) == kind || (kind == "list:dyn" && base(usual) == "list") {
			fitting = append(fitting, name)
		}
	}
	if others := selections[base(kind)]; len(others) > 0 && (len(fitting) == 0 || g.chance(40)) {
		return leaf(kind, pick(g.dice, others))
	}
	if len(fitting) == 0 {
		return nil
	}
	name := pick(g.dice, fitting)
	switch g.IntN(100) {
	case 0, 1, 2, 3, 4, 5:
		return leaf(kind, "context["+g.stringLiteral(name)+"]")
	case 6, 7, 8, 9, 10, 11:
		return leaf(kind, "plan."+name)
	case 12:
		return leaf(kind, ".context."+name)
	}
	return leaf(kind, "context."+name)
}

// call makes a call of a function that returns the type; nil if there is none.
func (g *generator) call(kind string, depth int) *node {
	var fitting []function
	for _, one := range g.functions {
		if one.Gives == base(kind) {
			fitting = append(fitting, one)
		}
	}
	if len(fitting) == 0 {
		return nil
	}
	// Overloads of one name count once.
	name := pick(g.dice, fitting).Name
	fitting = slices.DeleteFunc(fitting, func(one function) bool { return one.Name != name })
	return g.callOf(pick(g.dice, fitting), kind, depth)
}

// callOf makes a call of a function.
func (g *generator) callOf(chosen function, kind string, depth int) *node {
	takes := slices.Clone(chosen.Takes)
	if g.chance(1) {
		takes = append(takes, "dyn")
	}
	if g.chance(1) && len(takes) > 1 {
		takes = takes[:len(takes)-1]
	}
	method := chosen.Method
	if g.chance(1) {
		method = !method && len(takes) > 0
	}
	var kids []*node
	for at, take := range takes {
		kids = append(kids, g.argument(chosen, at, take, kind, depth))
	}
	text := strings.TrimSuffix(strings.Repeat("§, ", len(kids)), ", ")
	text = chosen.Name + "(" + text + ")"
	if method {
		text = "§." + chosen.Name + "(" + strings.TrimSuffix(strings.Repeat("§, ", len(kids)-1), ", ") + ")"
	}
	made := form(kind, text, kids...)
	made.function = chosen.key()
	return made
}

func (g *generator) argument(of function, at int, take, gives string, depth int) *node {
	if take == "string" && of.Name == "matches" && at == 1 {
		return leaf("string", g.of("'^[a-z]+$'", "'a'", "''", `r'\d+'`, "'(?i)INBOX'", "'.'", "'[^a]'", "'a|b'",
			"'('", "context.s", `r'^\s*$'`, "'é'"))
	}
	if take == "string" && g.chance(75) {
		if special := g.textFor(of.Name); special != "" || g.chance(20) {
			if len(g.locals) == 0 || g.chance(80) {
				return leaf("string", g.stringLiteral(special))
			}
		}
	}
	if take == "list" {
		switch of.Name {
		case "join":
			take = "list:string"
		case "flatten":
			take = g.of("list:list:int", "list:dyn")
		case "format":
			return g.list("list:dyn", depth, g.IntN(4))
		case "distinct", "reverse", "slice", "sort":
			take = gives
		}
	}
	if of.Name == "optional.ofNonZeroValue" {
		// The zero of a timestamp is 1970 here, and in the year 1 there.
		take = g.of("bool", "int", "uint", "double", "string", "bytes", "list", "map", "null", "duration")
	}
	switch {
	case take == "int" && of.Name == "lists.range":
		return leaf("int", g.of("0", "1", "5", "-1"))
	case take == "int" && at == 2 && g.chance(60):
		return leaf("int", g.of("1", "2", "3", "4"))
	case take == "int" && g.chance(60):
		return leaf("int", g.of("0", "0", "1", "1", "2", "3", "-1", "5", "7"))
	}
	return g.expression(take, depth)
}

func (g *generator) list(kind string, depth, count int) *node {
	var kids []*node
	for range count {
		kids = append(kids, g.expression(items(kind), depth))
	}
	return form(kind, "["+strings.TrimSuffix(strings.Repeat("§, ", count), ", ")+"]", kids...)
}

// choice makes an expression that selects between two others.
func (g *generator) choice(kind string, depth int) *node {
	return form(kind, "(§ ? § : §)", g.expression("bool", depth), g.expression(kind, depth), g.expression(kind,
		depth))
}

// inside makes an expression that takes a value out of a list, a map or an optional.
func (g *generator) inside(kind string, depth int) *node {
	switch g.IntN(5) {
	case 0:
		return form(kind, "§[§]", g.expression("list:"+kind, depth), g.argument(function{}, 1, "int", kind, depth))
	case 1:
		return form(kind, "{'k': §}."+g.of("k", "k", "q"), g.expression(kind, depth))
	case 2:
		return form(kind, "§.orValue(§)", g.expression("optional", depth), g.expression(kind, depth))
	case 3:
		return form(kind, "optional.of(§)."+g.of("value()", "orValue(1)", "?a", "?a.orValue(2)"), g.expression(kind,
			depth))
	}
	return form(kind, "{§: §}[§]", g.expression(g.of("string", "int", "bool", "uint"), depth), g.expression(kind,
		depth), g.expression(g.of("string", "int", "double"), depth))
}

// with makes an expression in which a macro's variable is declared.
func (g *generator) with(name, variable, kind string, depth int) *node {
	g.locals = append(g.locals, local{name, variable})
	made := g.expression(kind, depth)
	g.locals = g.locals[:len(g.locals)-1]
	return made
}

// withTwo makes an expression in which the two variables of a macro are declared, `k` and the given one.
func (g *generator) withTwo(key, name, variable, kind string, depth int) *node {
	g.locals = append(g.locals, local{"k", key}, local{name, variable})
	made := g.expression(kind, depth)
	g.locals = g.locals[:len(g.locals)-2]
	return made
}

// operator makes an expression with an operator or a macro that returns the type.
func (g *generator) operator(kind string, depth int) *node {
	e := func(kind string) *node { return g.expression(kind, depth) }
	name := g.of("v", "v", "x", "context")
	switch base(kind) {
	case "bool":
		return g.boolean(depth, name)
	case "int":
		switch g.IntN(6) {
		case 0:
			return form(kind, "-§", e("int"))
		case 1:
			return form(kind, "math."+g.of("greatest", "least")+"(§, §)", e("int"), e(g.of("int", "int", "double",
				"uint")))
		case 2:
			return form(kind, "math."+g.of("greatest", "least")+"(§)", e("list:int"))
		}
		return form(kind, "(§ "+g.of("+", "-", "*", "/", "%")+" §)", e("int"), e("int"))
	case "uint":
		return form(kind, "(§ "+g.of("+", "-", "*", "/", "%")+" §)", e("uint"), e("uint"))
	case "double":
		switch g.IntN(4) {
		case 0:
			return form(kind, "-§", e("double"))
		case 1:
			return form(kind, "math."+g.of("greatest", "least")+"(§, §, §)", e("double"), e("double"),
				e(g.of("double", "int")))
		}
		return form(kind, "(§ "+g.of("+", "-", "*", "/", "%")+" §)", e("double"), e(g.of("double", "double", "double",
			"int")))
	case "string", "bytes":
		return form(kind, "(§ + §)", e(kind), e(kind))
	case "list":
		from := g.of("int", "string", "double", "dyn", "bool")
		switch g.IntN(7) {
		case 0:
			return form(kind, "(§ + §)", e(kind), e(kind))
		case 1:
			return form(kind, "§.filter("+name+", §)", e(kind), g.with(name, items(kind), "bool", depth))
		case 2:
			return form(kind, "§.map("+name+", §)", e("list:"+from), g.with(name, from, items(kind), depth))
		case 3:
			return form(kind, "§.map("+name+", §, §)", e("list:"+from), g.with(name, from, "bool", depth),
				g.with(name, from, items(kind), depth))
		case 4:
			return form(kind, "§.map("+name+", §)", e("map"), g.with(name, "string", items(kind), depth))
		case 5:
			return form(kind, "§.sortBy("+name+", §)", e(kind), g.with(name, items(kind), g.of("int", "string",
				"double"), depth))
		}
		if g.chance(20) {
			return form(kind, "§.transformList(k, "+name+", §)", e("list:"+from),
				g.withTwo("int", name, from, items(kind), depth))
		}
		if g.chance(30) {
			return form(kind, "["+g.of("?", "")+"§, §]", e(g.of("optional", items(kind))), e(items(kind)))
		}
		return g.list(kind, depth, g.IntN(4))
	case "map":
		if g.chance(30) {
			return form(kind, "{?'a': §, 'b': §}", e("optional"), e("dyn"))
		}
		if g.chance(20) {
			return form(kind, "§.transformMap(k, "+name+", §)", e("map"),
				g.withTwo("string", name, "dyn", g.of("dyn", "int", "string"), depth))
		}
		return form(kind, "{§: §, §: §}", e(g.of("string", "int", "bool")), e("dyn"), e("string"), e("dyn"))
	case "timestamp":
		return g.pair(kind, [][3]string{{"timestamp", "+", "duration"}, {"timestamp", "-", "duration"}, {"duration",
			"+", "timestamp"}}, depth)
	case "duration":
		return g.pair(kind, [][3]string{{"duration", "+", "duration"}, {"duration", "-", "duration"}, {"timestamp",
			"-", "timestamp"}}, depth)
	case "type":
		return form(kind, "type(§)", e("dyn"))
	case "optional":
		switch g.IntN(4) {
		case 0:
			return form(kind, "§.optMap("+name+", §)", e(kind), g.with(name, "dyn", "dyn", depth))
		case 1:
			return form(kind, "§.optFlatMap("+name+", §)", e(kind), g.with(name, "dyn", "optional", depth))
		case 2:
			return form(kind, "§.or(§)", e(kind), e(kind))
		}
		return form(kind, "§"+g.of(".?a", ".?k.?a", "[?'a']", "[?0]", "[?-1]", ".a", "[0]"), e(g.of("map", "optional",
			"list")))
	}
	return g.leaf(kind)
}

func (g *generator) pair(kind string, options [][3]string, depth int) *node {
	chosen := pick(g.dice, options)
	return form(kind, "(§ "+chosen[1]+" §)", g.expression(chosen[0], depth), g.expression(chosen[2], depth))
}

func (g *generator) boolean(depth int, name string) *node {
	e := func(kind string) *node { return g.expression(kind, depth) }
	any := pick(g.dice, kinds)
	item := g.of("int", "string", "double", "dyn", "bool", "map")
	macro := g.of("all", "exists", "exists_one", "existsOne")
	switch g.IntN(15) {
	case 12:
		return form("bool", "§."+macro+"(k, "+name+", §)", e("list:"+item), g.withTwo("int", name, item, "bool", depth))
	case 13:
		return form("bool", "§."+macro+"(k, "+name+", §)", e("map"), g.withTwo("string", name, "dyn", "bool", depth))
	case 14:
		return form("bool", "cel.bind("+name+", §, §)", e(item), g.with(name, item, "bool", depth))
	case 0:
		return form("bool", "(§ && §)", e("bool"), e("bool"))
	case 1:
		return form("bool", "(§ || §)", e("bool"), e("bool"))
	case 2:
		return form("bool", g.of("!§", "!!§"), e("bool"))
	case 3:
		return form("bool", "(§ "+g.of("==", "!=")+" §)", e(any), e(any))
	case 4:
		other := g.of("int", "uint", "double")
		return form("bool", "(§ "+g.of("==", "!=", "<", "<=", ">", ">=")+" §)", e(g.of("int", "uint", "double")),
			e(other))
	case 5:
		same := g.of("string", "bytes", "timestamp", "duration", "bool", "int", "double", "uint", any)
		return form("bool", "(§ "+g.of("<", "<=", ">", ">=")+" §)", e(same), e(same))
	case 6:
		return form("bool", "(§ in §)", e(item), e("list:"+item))
	case 7:
		return form("bool", "(§ in §)", e(g.of("string", "int", "double", "uint", "bool", "dyn")), e("map"))
	case 8, 9:
		return form("bool", "§."+macro+"("+name+", §)", e("list:"+item), g.with(name, item, "bool", depth))
	case 10:
		return form("bool", "§."+macro+"("+name+", §)", e("map"), g.with(name, "string", "bool", depth))
	}
	return form("bool", "(type(§) == §)", e("dyn"), e("type"))
}
