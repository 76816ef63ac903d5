package policy

import (
	"bytes"
	"regexp"
	"regexp/syntax"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/policy/sensitive"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/schema"
)

// compile turns a valid rule into its compiled form.
func (r *Rule) compile(language Language) (rule, error) {
	out := rule{id: r.ID, class: record.Class(r.Class), set: r.Set}
	switch {
	case r.Drop:
		out.verdict = drops
	case r.Keep:
		out.verdict = keeps
	case r.Sample > 0:
		out.verdict, out.limit = samples, limitOf(r.Sample)
	}
	all, err := r.conditions(language)
	if err != nil {
		return out, err
	}
	switch len(all) {
	case 0:
	case 1:
		out.when = all[0]
	default:
		out.when = all
	}
	out.change, err = r.compileChange()
	return out, err
}

// conditions returns what must hold of a record.
func (r *Rule) conditions(language Language) (match.And, error) {
	var all match.And
	for _, c := range r.When {
		var p match.Predicate
		switch {
		case c.Regex != "":
			re, err := match.CompileRegexp(c.Regex)
			if err != nil {
				return nil, err
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
	if r.Match == "" {
		return all, nil
	}
	if language == nil {
		return nil, fault.Errorf(fault.Invalid, "rule %s has an expression, and there is no language here", r.ID)
	}
	p, err := language.Predicate(r.Match)
	if err != nil {
		return nil, err
	}
	return append(all, p), nil
}

// deed is what a rule does to what it finds.
type deed uint8

const (
	redacts deed = iota
	masks
	hashes
	tokenises
)

// change is how a rule changes values. What it looks for is a literal (in several
// spellings), an expression, or what detectors find; with none of them it changes
// whole values.
type change struct {
	does     deed
	literals [][]byte // as given, and as JSON writes it within text
	re       *regexp.Regexp
	needles  [][]byte // one of them is in every match, if any; in lower case when fold
	fold     bool
	oneOf    []byte // one of these bytes is in every match, if any
	run      run
	anchored bool // a match may depend on where a value begins or ends
	minimum  int  // bytes of the shortest match
	kinds    sensitive.Set
	fields   []schema.Resolution

	id      string // of the rule
	replace []byte // of what is redacted
	told    bool   // replace is the rule's own
	expand  bool   // replace names groups
	group   bool   // the first group of re is what is changed
	first   int    // of mask
	last    int
	format  bool
}

// whole reports whether it changes whole values.
func (c *change) whole() bool { return c.literals == nil && c.re == nil && c.kinds == 0 }

// compileChange returns nil for a rule that changes nothing.
func (r *Rule) compileChange() (*change, error) {
	list := r.changes()
	if len(list) == 0 {
		return nil, nil
	}
	f := list[0]
	out := &change{id: r.ID, replace: []byte("[redacted:" + r.ID + "]")}
	switch {
	case r.Mask != nil:
		out.does, out.first, out.last, out.format = masks, r.Mask.First, r.Mask.Last, r.Mask.Format
	case r.Hash != nil:
		out.does = hashes
	case r.Tokenise != nil:
		out.does = tokenises
	case r.Redact.Replace != "":
		out.replace, out.told = []byte(r.Redact.Replace), true
	}
	for _, name := range f.fields {
		out.fields = append(out.fields, schema.Resolve(name))
	}
	out.kinds, _ = kindsOf(f.detect)
	switch {
	case f.literal != "":
		out.minimum = len(f.literal)
		out.literals = [][]byte{[]byte(f.literal)}
		quoted := match.AppendQuoted(nil, f.literal)
		if quoted = quoted[1 : len(quoted)-1]; string(quoted) != f.literal {
			out.literals = append(out.literals, quoted)
		}
	case f.pattern != "":
		if err := out.pattern(f.pattern); err != nil {
			return nil, fault.Errorf(fault.Invalid, "compile rule %s: %w", r.ID, err)
		}
	}
	return out, nil
}

func (c *change) pattern(src string) error {
	tree, err := syntax.Parse(src, syntax.Perl)
	if err == nil {
		c.re, err = regexp.Compile(src)
	}
	if err != nil {
		return err
	}
	if c.does == redacts {
		c.expand = bytes.IndexByte(c.replace, '$') >= 0
	} else {
		c.group = c.re.NumSubexp() > 0
	}
	c.run, c.oneOf = runOf(tree), oneOf(tree)
	tree = tree.Simplify()
	c.needles, c.fold = required(tree)
	c.anchored = anchored(tree)
	c.minimum = minimum(tree)
	return nil
}
