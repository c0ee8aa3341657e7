package policy

import (
	"errors"
	"fmt"
	"slices"
	"unicode"

	"signoff.dev/signoff/internal/strict"
	"signoff.dev/signoff/verifier"
)

// Decisions of a policy.
const (
	Allow           = "allow"
	Deny            = "deny"
	RequireApproval = "require_approval"
)

const (
	decisionBytesMax    = 64
	identifierBytesMax  = 128
	reasonBytesMax      = 4 << 10
	requirementBytesMax = 16 << 10
	failedMax           = 16
)

// Verdict is the validated verdict of a policy.
type Verdict struct {
	Decision string
	// Rule and Reason are nil if there is none.
	Rule, Reason *string
	// Requirement is nil if the policy has none; its unset members are zero.
	Requirement *verifier.Requirement
	Failed      []string
}

// checked validates a verdict, in the order of its members.
func (v *Verdict) checked(requirement *string) (*Verdict, error) {
	switch v.Decision {
	case Allow, Deny, RequireApproval:
	default:
		return nil, fmt.Errorf("the decision is `%s`", strict.Printable(v.Decision))
	}
	if v.Rule != nil && !IsIdentifier(*v.Rule) {
		return nil, fmt.Errorf("the rule is `%s`", strict.Printable(*v.Rule))
	}
	if v.Reason != nil {
		for _, char := range *v.Reason {
			if unicode.IsControl(char) && char != '\n' && char != '\t' {
				return nil, fmt.Errorf("reason contains the control character %U", char)
			}
		}
	}
	if requirement != nil {
		read, err := parseRequirement(*requirement)
		if err != nil {
			return nil, fmt.Errorf("requirement: %w", err)
		}
		if v.Decision != RequireApproval {
			return nil, fmt.Errorf("a requirement with the decision `%s`", v.Decision)
		}
		v.Requirement = read
	}
	for index, id := range v.Failed {
		if !IsIdentifier(id) || slices.Contains(v.Failed[:index], id) {
			return nil, errors.New("failed must name different rules")
		}
	}
	return v, nil
}

// IsIdentifier reports whether a text is `[!-~]{1,128}`.
func IsIdentifier(text string) bool {
	for index := range len(text) {
		if text[index] < '!' || text[index] > '~' {
			return false
		}
	}
	return text != "" && len(text) <= identifierBytesMax
}
