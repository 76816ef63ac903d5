package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/record"
)

// DefaultClass is the class of a record that no rule classifies, unless the
// configuration says otherwise.
const DefaultClass record.Class = "app"

// Limits of a configuration.
const (
	maxRules   = 1000
	maxClasses = 64
)

// Config is the policy of a tenant. The zero Config has the default classes and
// the built-in rules.
type Config struct {
	// Classes maps a retention class to how long its records are kept: 30d, 12w,
	// 13mo, 7y. Classes that it does not name keep their default: ops 30d, app
	// 90d, security 13mo, audit 7y, deadletter 30d.
	Classes map[string]string `yaml:"classes"`
	// DefaultClass is the class of a record that no rule classifies: app.
	DefaultClass string `yaml:"default_class"`
	// RetentionFrom says from when on retention counts: "arrival", the default, or
	// "event".
	RetentionFrom string `yaml:"retention_from"`
	// NoBuiltin leaves out the built-in rules: security for what a policy of the
	// mesh decided (mesh.policy.decision, but allow), ops for all other access
	// and flow logs of meshes, and the redaction of credentials.
	NoBuiltin bool `yaml:"no_builtin"`
	// Rules are held against each record in this order.
	Rules []Rule `yaml:"rules"`
}

// Rule is one rule. It drops, classifies or redacts; a redacting rule may
// classify too.
type Rule struct {
	// ID names the rule in counts and in what replaces a redacted text: 1 to 64
	// of [a-z0-9_-].
	ID string `yaml:"id"`
	// When lists conditions that must all hold; without any, all records match.
	When []Condition `yaml:"when"`
	// Drop drops the record.
	Drop bool `yaml:"drop"`
	// Class is the retention class that the record gets.
	Class string `yaml:"class"`
	// Redact replaces parts of the record.
	Redact *Redact `yaml:"redact"`
}

// Condition is one condition on a field, by any name that a query may use.
// Exactly one of Is, In and Regex is given; with none the field must be there.
type Condition struct {
	Field string   `yaml:"field"`
	Is    string   `yaml:"is"`    // exactly this text
	In    []string `yaml:"in"`    // one of these texts
	Regex string   `yaml:"regex"` // matches anywhere, RE2 syntax
	Not   bool     `yaml:"not"`   // holds when the rest does not
}

// Redact says what is replaced, by what, and where. Exactly one of Pattern and
// Literal is given, or neither and Fields: then whole values are replaced.
type Redact struct {
	Pattern string `yaml:"pattern"` // RE2 syntax
	Literal string `yaml:"literal"` // exactly this text, at least 4 bytes
	// Replace is what stands instead: "[redacted:ID]" by default. $1 and ${name}
	// stand for groups of Pattern.
	Replace string `yaml:"replace"`
	// Fields limits the redaction to fields, by any name that a query may use.
	// Without it every value is searched and, when the rule has no condition,
	// every field name: a name belongs to all records of a batch.
	Fields []string `yaml:"fields"`
}

// Validate reports everything that is wrong, each with its path and a hint, as
// errors of kind fault.Invalid that errors.Join put together.
func (c Config) Validate() error {
	v := &validator{classes: defaultClasses()}
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

type validator struct {
	classes map[record.Class]Retention
	errs    []error
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
	v.class(path+".class", r.Class)
	switch {
	case !r.Drop && r.Class == "" && r.Redact == nil:
		v.bad("give it drop, class or redact", path, r.ID, "the rule does nothing")
	case r.Drop && (r.Class != "" || r.Redact != nil):
		v.bad("write two rules", path, r.ID, "what is dropped can be neither classified nor redacted")
	}
	if r.Redact != nil {
		v.redact(path+".redact", r.Redact)
	}
}

func (v *validator) condition(path string, c Condition) {
	if c.Field == "" {
		v.bad("any name that a query may use", path+".field", "", "no field")
	}
	given := 0
	for _, is := range []bool{c.Is != "", len(c.In) > 0, c.Regex != ""} {
		if is {
			given++
		}
	}
	if given > 1 {
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

func (v *validator) redact(path string, r *Redact) {
	switch {
	case r.Pattern != "" && r.Literal != "":
		v.bad("write two rules", path, "", "both pattern and literal")
	case r.Pattern == "" && r.Literal == "" && len(r.Fields) == 0:
		v.bad("give it pattern, literal or fields", path, "", "nothing to redact")
	case r.Literal != "" && len(r.Literal) < 4:
		v.bad("a shorter text is in most records", path+".literal", "", "fewer than 4 bytes")
	}
	if r.Pattern != "" {
		v.regex(path+".pattern", r.Pattern)
		if re, err := match.CompileRegexp(r.Pattern); err == nil && re.MatchString("") {
			v.bad("it would redact between any two characters", path+".pattern", r.Pattern, "matches the empty text")
		}
	}
	for i, f := range r.Fields {
		if f == "" {
			v.bad("any name that a query may use", fmt.Sprintf("%s.fields[%d]", path, i), "", "no field")
		}
	}
}

// compile turns a valid rule into its compiled form.
func (r *Rule) compile() (rule, error) {
	out := rule{id: r.ID, drop: r.Drop, class: record.Class(r.Class)}
	var all match.And
	for _, c := range r.When {
		var p match.Predicate
		switch {
		case c.Regex != "":
			re, err := match.CompileRegexp(c.Regex)
			if err != nil {
				return out, err
			}
			p = match.Regex{Field: c.Field, Re: re}
		case len(c.In) > 0:
			p = match.In{Field: c.Field, Values: c.In}
		case c.Is != "":
			p = match.Eq{Field: c.Field, Value: c.Is}
		default:
			p = match.Exists{Field: c.Field}
		}
		if c.Not {
			p = match.Not{P: p}
		}
		all = append(all, p)
	}
	switch len(all) {
	case 0:
	case 1:
		out.when = all[0]
	default:
		out.when = all
	}
	if r.Redact != nil {
		var err error
		if out.redact, err = r.Redact.compile(r.ID); err != nil {
			return out, err
		}
	}
	return out, nil
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
