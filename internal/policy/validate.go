package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/policy/sensitive"
	"github.com/meshtrail/meshtrail/internal/record"
)

// Validate reports everything that is wrong, each with its path and a hint, as
// errors of kind fault.Invalid that errors.Join put together.
func (c Config) Validate() error {
	v := &validator{classes: defaultClasses(), language: c.Language}
	v.words("owner", c.Owner)
	if c.MaxTokens < 0 {
		v.bad("", "max_tokens", "", "negative")
	}
	if len(c.Classes) > maxClasses {
		v.bad("", "classes", "", fmt.Sprintf("%d classes, limit %d", len(c.Classes), maxClasses))
	}
	for name, keep := range c.Classes {
		path := "classes." + name
		if !record.ValidName(name) {
			v.bad("use 1 to 64 of a-z, 0-9, _ and -", path, name, "no valid name of a class")
		}
		r, err := ParseRetention(keep)
		if err != nil {
			v.bad("write it as 30d, 12w, 13mo or 7y", path, keep, "no valid retention")
		}
		v.classes[record.Class(name)] = r
	}
	v.class("default_class", c.DefaultClass)
	if !slices.Contains([]string{"", fromArrival, fromEvent}, c.RetentionFrom) {
		v.bad("write "+fromArrival+" or "+fromEvent, "retention_from", c.RetentionFrom, "unknown")
	}
	if len(c.Rules) > maxRules {
		v.bad("", "rules", "", fmt.Sprintf("%d rules, limit %d", len(c.Rules), maxRules))
	}
	seen := map[string]int{}
	for i := range c.Rules {
		path := fmt.Sprintf("rules[%d]", i)
		r := &c.Rules[i]
		if first, twice := seen[r.ID]; twice && r.ID != "" {
			v.bad("give each rule an id of its own", path+".id", r.ID, fmt.Sprintf("rules[%d] has the same id", first))
		}
		seen[r.ID] = i
		v.rule(path, r)
	}
	return errors.Join(v.errs...)
}

// ValidateAgent is Validate for the policy of an agent, which has neither the
// server's keys nor its vault: what it hashed would join with nothing.
func (c Config) ValidateAgent() error {
	v := &validator{}
	for i := range c.Rules {
		for _, what := range []struct {
			name  string
			given bool
		}{{"hash", c.Rules[i].Hash != nil}, {"tokenise", c.Rules[i].Tokenise != nil}} {
			if what.given {
				v.bad("write the rule into the server's policy, whose changes reach what agents forward as well; an agent can redact and mask",
					fmt.Sprintf("rules[%d].%s", i, what.name), "", "an agent has no keys for that")
			}
		}
	}
	return errors.Join(c.Validate(), errors.Join(v.errs...))
}

type validator struct {
	classes  map[record.Class]Retention
	language Language
	errs     []error
}

// words checks what is said for people.
func (v *validator) words(path, text string) {
	if len(text) > maxWhy || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' && r != '\n' }) {
		v.bad("the ledger keeps it for ever", path, text, fmt.Sprintf("more than %d bytes, or control characters", maxWhy))
	}
}

func (v *validator) bad(hint, path, value, what string) {
	text := path + ": " + what
	if value != "" {
		text += fmt.Sprintf(" (found %.80q)", value)
	}
	v.errs = append(v.errs, fault.WithHint(fault.Errorf(fault.Invalid, "%s", text), hint))
}

func (v *validator) class(path, name string) {
	if name == "" {
		return
	}
	if _, ok := v.classes[record.Class(name)]; !ok {
		var known []string
		for c := range v.classes {
			known = append(known, string(c))
		}
		slices.Sort(known)
		v.bad("name it under classes, or use one of "+strings.Join(known, ", "), path, name, "unknown class")
	}
}

func (v *validator) rule(path string, r *Rule) {
	if !record.ValidName(r.ID) {
		v.bad("use 1 to 64 of a-z, 0-9, _ and -", path+".id", r.ID, "no valid id")
	}
	if strings.HasPrefix(r.ID, builtinPrefix) {
		v.bad("ids that begin so are of the built-in rules", path+".id", r.ID, "reserved id")
	}
	for i, c := range r.When {
		v.condition(fmt.Sprintf("%s.when[%d]", path, i), c)
	}
	if r.Match != "" {
		v.match(path+".match", r.Match)
	}
	v.words(path+".why", r.Why)
	v.class(path+".class", r.Class)
	if r.Set != nil {
		v.set(path+".set", r.Set)
	}
	if r.Sample < 0 || r.Sample >= 1 {
		v.bad("0.1 keeps a tenth; to keep all write keep: true", path+".sample", fmt.Sprint(r.Sample), "no share between 0 and 1")
	}
	decides, changes := count(r.Keep, r.Drop, r.Sample != 0), r.changes()
	switch {
	case decides == 0 && r.Class == "" && r.Set == nil && len(changes) == 0:
		v.bad("give it keep, drop, sample, class, set, redact, mask, hash or tokenise", path, r.ID, "the rule does nothing")
	case r.Drop && (r.Class != "" || r.Set != nil || len(changes) > 0):
		v.bad("write two rules", path, r.ID, "what is dropped can be neither classified nor redacted")
	case decides > 1:
		v.bad("write two rules", path, r.ID, "more than one of keep, drop and sample")
	case len(changes) > 1:
		v.bad("write two rules", path, r.ID, "more than one of redact, mask, hash and tokenise")
	}
	for _, c := range changes {
		v.finder(path+"."+c.name, c)
	}
	if m := r.Mask; m != nil && (m.First < 0 || m.Last < 0 || m.First > 64 || m.Last > 64) {
		v.bad("", path+".mask", "", "first and last are 0 to 64")
	}
}

func count(list ...bool) (n int) {
	for _, is := range list {
		if is {
			n++
		}
	}
	return n
}

func (v *validator) match(path, text string) {
	if v.language == nil {
		v.bad("write conditions under when", path, text, "expressions are not understood here")
		return
	}
	if _, err := v.language.Predicate(text); err != nil {
		v.bad(fault.HintOf(err), path, text, err.Error())
	}
}

func (v *validator) set(path string, s *Set) {
	if s.Owner == "" && s.Classification == "" {
		v.bad("give it owner or classification", path, "", "sets nothing")
	}
	if len(s.Owner) > 128 {
		v.bad("", path+".owner", s.Owner, "more than 128 bytes")
	}
	if s.Classification != "" && !record.ValidName(s.Classification) {
		v.bad("a word such as public, internal, confidential or restricted", path+".classification", s.Classification, "no valid name")
	}
}

func (v *validator) condition(path string, c Condition) {
	if c.Field == "" {
		v.bad("any name that a query may use", path+".field", "", "no field")
	}
	if count(c.Is != "", len(c.In) > 0, c.Regex != "") > 1 {
		v.bad("write two conditions", path, "", "more than one of is, in and regex")
	}
	if c.Regex != "" {
		v.regex(path+".regex", c.Regex)
	}
}

func (v *validator) regex(path, src string) {
	if _, err := match.CompileRegexp(src); err != nil {
		v.bad("RE2 syntax, no lookaround or backreference", path, src, err.Error())
	}
}

// finder is what a change of values looks for.
type finder struct {
	name             string // redact, mask, hash, tokenise
	pattern, literal string
	detect, fields   []string
}

// changes returns what a rule does to values; a valid one has at most one.
func (r *Rule) changes() (out []finder) {
	if c := r.Redact; c != nil {
		out = append(out, finder{"redact", c.Pattern, c.Literal, c.Detect, c.Fields})
	}
	if c := r.Mask; c != nil {
		out = append(out, finder{"mask", c.Pattern, "", c.Detect, c.Fields})
	}
	if c := r.Hash; c != nil {
		out = append(out, finder{"hash", c.Pattern, "", c.Detect, c.Fields})
	}
	if c := r.Tokenise; c != nil {
		out = append(out, finder{"tokenise", c.Pattern, "", c.Detect, c.Fields})
	}
	return out
}

func (v *validator) finder(path string, f finder) {
	ways := "pattern, detect or fields"
	if f.name == "redact" {
		ways = "pattern, literal, detect or fields"
	}
	switch given := count(f.pattern != "", f.literal != "", len(f.detect) > 0); {
	case f.pattern != "" && f.literal != "":
		v.bad("write two rules", path, "", "both pattern and literal")
	case given > 1:
		v.bad("write two rules", path, "", "more than one of pattern, literal and detect")
	case given == 0 && len(f.fields) == 0:
		v.bad("give it "+ways, path, "", "nothing to "+f.name)
	case f.literal != "" && len(f.literal) < 4:
		v.bad("a shorter text is in most records", path+".literal", "", "fewer than 4 bytes")
	}
	if f.pattern != "" {
		v.regex(path+".pattern", f.pattern)
		if re, err := match.CompileRegexp(f.pattern); err == nil && re.MatchString("") {
			v.bad("it would "+f.name+" between any two characters", path+".pattern", f.pattern, "matches the empty text")
		}
	}
	if _, unknown := kindsOf(f.detect); len(unknown) > 0 {
		v.bad("use "+detectSecrets+", "+detectPersonal+", "+detectAll+", or kinds: "+strings.Join(kindNames(), ", "), path+".detect", unknown[0], "no such detector")
	}
	for i, name := range f.fields {
		if name == "" {
			v.bad("any name that a query may use", fmt.Sprintf("%s.fields[%d]", path, i), "", "no field")
		}
	}
}

// Names of several detectors together.
const (
	detectSecrets  = "secrets"
	detectPersonal = "personal"
	detectAll      = "all"
)

// kindsOf returns the kinds that a list of detectors means, and names that mean
// none.
func kindsOf(names []string) (set sensitive.Set, unknown []string) {
	for _, name := range names {
		switch name {
		case detectSecrets:
			set |= sensitive.Secrets()
		case detectPersonal:
			set |= sensitive.PersonalData()
		case detectAll:
			set |= sensitive.All()
		default:
			k, ok := sensitive.KindOf(name)
			if !ok {
				unknown = append(unknown, name)
				continue
			}
			set |= sensitive.SetOf(k)
		}
	}
	return set, unknown
}

func kindNames() []string {
	var out []string
	for _, k := range sensitive.Kinds() {
		out = append(out, k.Name)
	}
	return out
}

func (c Config) retentions() map[record.Class]Retention {
	out := defaultClasses()
	for name, keep := range c.Classes {
		if r, err := ParseRetention(keep); err == nil {
			out[record.Class(name)] = r
		}
	}
	return out
}
