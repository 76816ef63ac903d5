package lucene

import (
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/schema"
)

// A compiler turns nodes into predicates.
type compiler struct{ p *parser }

func (c *compiler) node(n node) (match.Predicate, error) {
	switch n := n.(type) {
	case all:
		return match.True{}, nil
	case not:
		x, err := c.node(n.x)
		return match.Not{P: x}, err
	case and:
		parts, err := c.nodes(n)
		return match.And(parts), err
	case or:
		parts, err := c.nodes(n)
		return match.Or(parts), err
	case *term:
		return c.term(n)
	}
	return nil, errInternal
}

func (c *compiler) nodes(ns []node) ([]match.Predicate, error) {
	out := make([]match.Predicate, 0, len(ns))
	for _, n := range ns {
		p, err := c.node(n)
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

// The names of the retention class: className is what people write, and may be a
// field of a record as well.
const (
	className  = "class"
	auditClass = "audit"
)

func (c *compiler) term(t *term) (match.Predicate, error) {
	names := []string{t.field}
	if t.field == "" {
		if names = c.p.o.DefaultFields; len(names) == 0 {
			names = []string{match.AnyField}
		}
	}
	var any match.Or
	for _, name := range names {
		p, err := c.leaf(t, name)
		if err != nil {
			return nil, err
		}
		any = append(any, p)
	}
	return any, nil
}

// leaf plans a term on one field. The name class means the retention class, and
// a field that happens to be called so; but not for audit, so that no sender can
// put a record of its own among those that say who asked what (spec/query.md).
func (c *compiler) leaf(t *term, name string) (match.Predicate, error) {
	if name != className {
		return c.on(t, name)
	}
	kept, err := c.on(t, match.Class)
	if err != nil || t.kind == phrase && (t.text == auditClass || t.text == "") {
		return kept, err
	}
	own, err := c.on(t, className)
	return match.Or{kept, match.And{own, match.Not{P: match.Eq{Field: className, Value: auditClass}}}}, err
}

func (c *compiler) on(t *term, name string) (match.Predicate, error) {
	prose := isProse(name)
	switch t.kind {
	case exists:
		return match.Exists{Field: name}, nil
	case interval:
		return c.interval(t, name)
	case regex:
		return c.regex(t, name, prose)
	case word:
		if prose {
			return c.wildProse(t, name)
		}
		return c.anchored(t, name, wildcards(t.pieces))
	}
	if prose {
		return textIn(name, t.text), nil
	}
	return exact(name, t.text), nil
}

// isProse reports whether a field holds text to be read, in which words are
// sought, and not a value to be compared.
func isProse(name string) bool {
	if name == match.Line || name == match.AnyField {
		return true
	}
	res := schema.Resolve(name)
	for _, n := range res.Names() {
		switch n {
		case record.Body, "exception.message", "exception.stacktrace", "error.message", "error.stack_trace", "event.original":
			return true
		}
	}
	return false
}

// textIn seeks a text in prose, in letters of either case: as whole words, where
// it begins and ends with one.
func textIn(name, s string) match.Predicate {
	switch {
	case s == "" && (name == match.Line || name == match.AnyField):
		return match.True{}
	case s == "":
		return match.Not{P: match.Exists{Field: name}}
	case match.IsWord(s[0]) && match.IsWord(s[len(s)-1]):
		return match.Word{Field: name, Value: s, Fold: true}
	}
	return match.Contains{Field: name, Value: s, Fold: true}
}

// exact compares a value: as text, and as what it looks like.
func exact(name, s string) match.Predicate {
	if s == "" {
		return match.Not{P: match.Exists{Field: name}}
	}
	eq := match.Eq{Field: name, Value: s}
	res := schema.Resolve(name)
	if res.Unit != schema.NoUnit {
		if b, unit, ok := bound(s, true); ok {
			return match.Range{Field: name, Min: b, Max: b, Unit: unit}
		}
	}
	for _, n := range res.Names() {
		if n == "severity_text" { // senders do not agree on its case
			values := []string{s, strings.ToLower(s), strings.ToUpper(s), title(s)}
			slices.Sort(values)
			return match.In{Field: name, Values: slices.Compact(values)}
		}
	}
	if net, err := netip.ParsePrefix(s); err == nil {
		return match.Or{eq, match.CIDR{Field: name, Net: net.Masked()}}
	}
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		in := match.CIDR{Field: name, Net: netip.PrefixFrom(a, a.BitLen())}
		if a.Is4() { // written in one way only, so that the token index helps
			return match.Or{eq, match.And{match.Word{Field: name, Value: s}, in}}
		}
		return match.Or{eq, in}
	}
	return eq
}

func title(s string) string { return strings.ToUpper(s[:1]) + strings.ToLower(s[1:]) }

// wildcards writes pieces as an expression.
func wildcards(pieces []piece) string {
	var b strings.Builder
	for _, x := range pieces {
		switch x.wild {
		case '*':
			b.WriteString(".*")
		case '?':
			b.WriteByte('.')
		default:
			b.WriteString(regexp.QuoteMeta(x.text))
		}
	}
	return b.String()
}

// wildProse seeks a word with wildcards, which stand for anything but space.
func (c *compiler) wildProse(t *term, name string) (match.Predicate, error) {
	var b strings.Builder
	longest, texts := "", 0
	for i, x := range t.pieces {
		switch x.wild {
		case '*':
			if i > 0 && i < len(t.pieces)-1 {
				b.WriteString(`\S*`)
			}
			continue
		case '?':
			b.WriteString(`\S`)
			continue
		}
		if texts++; len(x.text) > len(longest) {
			longest = x.text
		}
		if i == 0 && isASCIIWord(x.text[0]) {
			b.WriteString(`\b`)
		}
		fold(&b, x.text)
		if i == len(t.pieces)-1 && isASCIIWord(x.text[len(x.text)-1]) {
			b.WriteString(`\b`)
		}
	}
	if last := len(t.pieces) - 1; texts == 1 && t.pieces[0].wild == '*' && t.pieces[last].wild == '*' && len(t.pieces) == 3 {
		return match.Contains{Field: name, Value: longest, Fold: true}, nil
	}
	re, err := match.CompileRegexp(b.String())
	if err != nil {
		return nil, c.wrap(t, err)
	}
	all := match.And{match.Regex{Field: name, Re: re}}
	if longest != "" { // cheaper, and first
		all = match.And{match.Contains{Field: name, Value: longest, Fold: true}, all[0]}
	}
	return all, nil
}

func isASCIIWord(c byte) bool { return c < 0x80 && match.IsWord(c) }

// fold writes a text as an expression that takes ASCII letters of either case as
// equal, and nothing else: (?i) would take K and the Kelvin sign as equal too.
func fold(b *strings.Builder, s string) {
	for i := 0; i < len(s); i++ {
		if c := s[i] | 0x20; c >= 'a' && c <= 'z' {
			b.Write([]byte{'[', c, c ^ 0x20, ']'})
			continue
		}
		n := i
		for n < len(s) && !(s[n]|0x20 >= 'a' && s[n]|0x20 <= 'z') {
			n++
		}
		b.WriteString(regexp.QuoteMeta(s[i:n]))
		i = n - 1
	}
}

// regex plans /…/: of the whole value, or anywhere in prose.
func (c *compiler) regex(t *term, name string, prose bool) (match.Predicate, error) {
	if !prose {
		return c.anchored(t, name, t.text)
	}
	p, err := match.Unanchored(name, t.text)
	if err != nil {
		return nil, c.wrap(t, err)
	}
	return p, nil
}

// anchored plans an expression on a whole value. An absent field has none.
func (c *compiler) anchored(t *term, name, src string) (match.Predicate, error) {
	p, err := match.Anchored(name, src)
	if err != nil {
		return nil, c.wrap(t, err)
	}
	if _, anything := p.(match.True); anything {
		return match.Exists{Field: name}, nil
	}
	return p, nil
}

// wrap places an error of an expression in the query.
func (c *compiler) wrap(t *term, err error) error {
	if fault.Is(err, fault.TooLarge) {
		return err
	}
	return c.p.errorAt(t.at, fault.HintOf(err), "%v", err)
}
