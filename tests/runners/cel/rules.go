package main

import (
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// rule allows a difference that guest/policy/README.md documents: signoff is stricter, and fails to evaluate a
// condition or refuses it. The predicates are given the message of the failure, or each message of the refusal.
type rule struct {
	name, reason     string
	failure, refusal func(why string, c *comparison, theirs *theirs) bool
}

var rules = []rule{
	{
		name:    "stricter: an integer beyond 64 bits cannot be used",
		reason:  "as the double that JSON's other readers make of it, it would be another number",
		failure: message("integer beyond 64 bits"),
	},
	{
		name:   "stricter: NaN has no order",
		reason: "a comparison that is false both ways hides that there is no number",
		failure: message("^NaN is neither less nor greater than a number$",
			"^a value of type (double and one of type .*|.* and one of type double) have no order$",
			"^float\\(NaN\\) can not be compared",
			"can not be compared to Float\\(NaN\\)$"),
	},
	{
		name:   "stricter: a member of a value that is not a map is an error, not missing",
		reason: "CEL's conformance tests require it, and cel-go has an option for it",
		failure: func(_ string, c *comparison, theirs *theirs) bool {
			return theirs.refusesHas(c.attempt)
		},
	},
	{
		name:   "stricter: a key is a bool, an int, a uint or a string, and occurs once",
		reason: "CEL's specification has no other keys; cel-go finds nothing under them, or the last of several",
		failure: message("^unable to use value .* as a key$", "^unexpected type: .* want 'map key'$",
			"^failed with repeated key: "),
		refusal: message("^a value of type [a-z]+ cannot be a map key$"),
	},
	{
		name:   "stricter: a comparison that never changes its result is a mistake",
		reason: "its author counts from 1, writes upper case where there is none, or negates one side",
		refusal: message("^`get[A-Za-z]+` counts from ", "gives (facts in )?(lower|upper) case, expected ",
			"^`in` never finds a value of type "),
	},
	{
		name:   "stricter: the argument of `or` and `orValue` is evaluated in any case",
		reason: "they are functions, not operators",
		failure: func(_ string, c *comparison, theirs *theirs) bool {
			if c.tree == nil {
				return strings.Contains(c.When, ".or")
			}
			variables := c.tree.variables()
			return c.tree.any(func(one *node) bool {
				return one.isAlternative() && (one.kids[1].reads(variables) || theirs.fails(one.kids[1], c.attempt))
			})
		},
	},
	{
		name:   "stricter: the value of `cel.bind` is evaluated in any case",
		reason: "a name stands for a value, not for an expression",
		failure: func(_ string, c *comparison, _ *theirs) bool {
			return strings.Contains(c.When, "cel.bind(")
		},
	},
	{
		name:    "stricter: an index is within the string",
		reason:  "at the end, `indexOf` and `lastIndexOf` find nothing in cel-go and fail in the cel crate",
		failure: message("^error executing function '(lastI|i)ndexOf': index out of range: "),
	},
	{
		name:   "stricter: a macro iterates over a list or a map",
		reason: "cel-go iterates over what is empty",
		failure: message("^unexpected type: got '(string|bytes)', want 'iterable'$",
			"^a macro iterates over a list or a map, got a value of type (string|bytes)$"),
	},
	{
		name:    "stricter: a double is decimal",
		reason:  "cel-go reads Go's literals: `0x1p2`, `1_000`",
		failure: from("^`.*` is not a double$", "0[xX]|[0-9]_[0-9]"),
	},
	{
		name:    "stricter: `-` does not negate a duration",
		reason:  "CEL's specification has no such operator",
		failure: message(`^found no matching overload for '-_' applied to '\(google.protobuf.[A-Z][a-z]+\)'`),
	},
	{
		name:   "stricter: `T` and `F` are no bools",
		reason: "the cel crate reads the other spellings",
		failure: from("^error executing function 'bool': Type conversion error from 'string' to 'bool'$",
			`['"][TF]['"]`),
	},
	{
		name:    "stricter: a duration has no µs",
		reason:  "there are two letters that look like it; `us` is the same unit",
		failure: message("^`.*[µμ]s.*` is not a duration"),
		refusal: message("^`.*[µμ]s.*` is not a duration"),
	},
	{
		name:    "stricter: a duration is more than -2^63 ns",
		reason:  "its absolute value is a duration, too",
		failure: from("is not a duration", lowest),
		refusal: from("is not a duration", lowest),
	},
	{
		name:    "stricter: a timestamp has at most nine digits of a second",
		reason:  "cel-go cuts the rest",
		failure: message(`\.[0-9]{10,}.*is not a timestamp`),
		refusal: message(`\.[0-9]{10,}.*is not a timestamp`),
	},
	{
		name:   "stricter: invalid literals are refused before evaluation",
		reason: "the author sees the mistake, even if the evaluation does not reach it",
		refusal: func(fault string, c *comparison, theirs *theirs) bool {
			switch {
			case strings.Contains(fault, "is not a duration"), strings.Contains(fault, "is not a timestamp"):
				return theirs.refusesTime(c.When)
			case strings.HasPrefix(fault, "not a regular expression"):
				return theirs.refusesPattern(c.When)
			case strings.Contains(fault, "is not a time zone"):
				return theirs.refusesZone(c.When)
			}
			return false
		},
	},
	{
		name:    "stricter: the pattern of `matches` is a literal",
		reason:  "a pattern never comes from an agent",
		refusal: message("^the pattern of `matches` is a string in the condition or a named value"),
	},
	{
		name:    "stricter: a pattern takes at most 256 KiB when compiled",
		reason:  "a policy has little memory",
		refusal: message("^the compiled regular expression exceeds "),
	},
	{
		name:    "stricter: the groups of a pattern have different names",
		reason:  "RE2 requires it, Go does not",
		refusal: message("^not a regular expression of RE2: two groups have the name"),
	},
	{
		name:   "stricter: a pattern names sets of Unicode that all implementations of RE2 have",
		reason: "Go has other spellings and more sets; a surrogate is nothing that a text contains",
		refusal: func(fault string, _ *comparison, _ *theirs) bool {
			named := set.FindStringSubmatch(fault)
			return named != nil && !isSetOfAll(named[1]+named[2]) || strings.Contains(fault,
				"is not a character that a text can contain")
		},
	},
	{
		name:    "stricter: only known facts are read, by their names",
		reason:  "a host must provide what the rules read",
		refusal: message("^there is no fact ", "^a fact is read by its name"),
	},
	{
		name:    "stricter: names have no leading dot",
		reason:  "there are no containers that a dot could lead out of",
		refusal: message("begins with a dot: names are written without it$"),
	},
	{
		name:    "stricter: only functions of the table are called",
		reason:  "cel-go has overloads that CEL's specification and the cel crate lack: `int` of a duration is its nanoseconds",
		failure: message(`^found no matching overload for 'int' applied to '\(google.protobuf.Duration\)'`),
		refusal: message("^there is no function ", "^`[a-zA-Z.]+` does not take ([0-9]+|no) arguments?$",
			"^`[a-zA-Z.]+` is called as ",
			"^`int` does not take values of types duration$"),
	},
	{
		name:   "stricter: types that never fit are refused before evaluation",
		reason: "the author sees the mistake, even if the evaluation does not reach it",
		refusal: func(fault string, c *comparison, _ *theirs) bool {
			return c.theirs.result == failed && mistyped.MatchString(fault) || neverFits.MatchString(fault)
		},
	},
}

// set matches the message for a set of Unicode that a pattern cannot name.
var set = regexp.MustCompile("(?s)^not a regular expression of RE2: `\\\\[pP](?:{\\^?([^}]*)}|(.)).*` is not a set of Unicode that RE2 has")

// isSetOfAll returns whether all implementations of RE2 have a set of Unicode by this name.
func isSetOfAll(name string) bool {
	_, isScript := unicode.Scripts[name]
	_, isCategory := unicode.Categories[name]
	return isScript || isCategory && !slices.Contains([]string{"C", "Cn", "Cs", "LC"}, name)
}

// neverFits matches messages of types that cel-go's checker accepts, though no evaluation has a result that could
// matter: a list for a bool, an alternative that is no optional, a timestamp that is null.
var neverFits = regexp.MustCompile("^`(&&|\\|\\||!|\\? :)` takes a bool|" +
	"^`or` does not take values of types optional, |^`[!=]=` does not take a value of type .*\\bnull\\b")

// mistyped matches messages of types that do not fit.
var mistyped = regexp.MustCompile("^`[^`]+` (does not take (a value|values) of type|takes )|" +
	"^a value of type .* (has no member|cannot be indexed)|^a macro iterates over|^the condition gives a value of type")

// message returns a predicate for messages.
func message(patterns ...string) func(string, *comparison, *theirs) bool {
	pattern := regexp.MustCompile("(?s)" + strings.Join(patterns, "|"))
	return func(why string, _ *comparison, _ *theirs) bool { return pattern.MatchString(why) }
}

// from returns a predicate for messages, and for the condition and the context that it comes from.
func from(pattern, cause string) func(string, *comparison, *theirs) bool {
	causes := regexp.MustCompile(cause)
	fits := message(pattern)
	return func(why string, c *comparison, theirs *theirs) bool {
		return fits(why, c, theirs) && causes.MatchString(c.When+c.Context)
	}
}

// exception allows a difference that is no strictness, but documented, too.
type exception struct {
	name, reason string
	allows       func(c *comparison, theirs *theirs) bool
}

var exceptions = []exception{
	{
		name:   "exact: an int and a double compare, and a duration is written, without rounding; a timestamp in UTC",
		reason: "cel-go rounds beyond 2^53, and keeps the offset that a timestamp was read with",
		allows: func(c *comparison, theirs *theirs) bool {
			return theirs.evaluateExactly(c.attempt).result == c.ours.result
		},
	},
	{
		name:   "cel-go overflows in the last second of the range of durations",
		reason: "it multiplies the seconds before it adds the rest",
		allows: func(c *comparison, _ *theirs) bool {
			return c.theirs.why == "integer overflow" && longest.MatchString(c.When+c.Context)
		},
	},
	{
		name:   "a time zone has no summer time from 2100 on",
		reason: "the tables of chrono-tz end there, cel-go continues the last rule",
		allows: func(c *comparison, _ *theirs) bool {
			return strings.Contains(c.When, ".get") && distant.MatchString(c.When+c.Context)
		},
	},
	{
		name:   "cel-go refuses a literal that cannot be a key before it knows whether the evaluation reaches it",
		reason: "it plans how to read `x[null]`",
		allows: func(c *comparison, _ *theirs) bool {
			return strings.HasPrefix(c.theirs.why, "invalid qualifier type")
		},
	},
	{
		name:   "cel-go panics",
		reason: "it hashes bytes",
		allows: func(c *comparison, _ *theirs) bool {
			return strings.HasPrefix(c.theirs.why, "internal error: runtime error")
		},
	},
	{
		name:   "cel-go's checker chooses an overload that its evaluation then lacks",
		reason: "without its check, it gives the same result",
		allows: func(c *comparison, theirs *theirs) bool {
			return strings.HasPrefix(c.theirs.why, "no such overload") &&
				theirs.evaluateUnchecked(c.attempt).result == c.ours.result
		},
	},
}

// distant matches the text or the seconds of a timestamp from 2100 on.
var distant = regexp.MustCompile("[^0-9](2[1-9]|[3-9][0-9])[0-9]{2}-[0-9]{2}-|253402300799|[^0-9][0-9]{11,12}[^0-9]")

// lowest matches the text of -2^63 ns.
const lowest = "-9223372036.854775808s|-9223372036854775808ns"

// longest matches a duration in the last second before 2^63 ns.
var longest = regexp.MustCompile("2562047h47m16|9223372036")

// isException returns whether an outcome is the name of an exception.
func isException(outcome string) bool {
	return slices.ContainsFunc(exceptions, func(one exception) bool { return one.name == outcome })
}

// isRule returns whether an outcome is the name of a rule.
func isRule(outcome string) bool {
	return slices.ContainsFunc(rules, func(one rule) bool { return one.name == outcome })
}

// allows returns the name of the rule or exception that allows the difference.
func allows(c *comparison, theirs *theirs) (string, bool) {
	switch c.ours.result {
	case failed:
		for _, one := range rules {
			if one.failure != nil && one.failure(c.ours.why, c, theirs) {
				return one.name, true
			}
		}
	case refused:
		name := ""
		for _, fault := range c.ours.faults {
			if name = refusedBy(fault, c, theirs); name == "" {
				return "", false
			}
		}
		return name, name != ""
	case yes, no:
		for _, one := range exceptions {
			if c.theirs.result != refused && one.allows(c, theirs) {
				return one.name, true
			}
		}
	}
	return "", false
}

func refusedBy(fault string, c *comparison, theirs *theirs) string {
	for _, one := range rules {
		if one.refusal != nil && one.refusal(fault, c, theirs) {
			return one.name
		}
	}
	return ""
}
