// Package lucene reads the language of the search bar: what people who know
// Lucene's query syntax or Kibana's KQL type, as one language.
//
//	service:checkout AND status:>=500 "timed out" -path:/healthz
//
// It turns text into a predicate of package match, and back into a canonical
// text. Parse(q).String() is a fixed point of Parse, and every error names the
// line and column where the query stops making sense. The grammar, the meaning
// and the differences from Lucene and KQL are written down in spec/search.md.
//
// The package knows names only as far as package schema resolves them. It knows
// nothing of time ranges, scopes or scores: boosts are read and dropped. It keeps
// nothing beyond the query it returns, and survives any input: length, depth and
// terms are bounded.
package lucene

import (
	"strings"

	"github.com/meshtrail/meshtrail/internal/match"
)

// The limits of a query, so that a hostile one costs nothing.
const (
	maxLength = 64 << 10 // bytes of text
	maxDepth  = 100      // parentheses and negations in each other
	maxTerms  = 1000
)

// An Operator says how terms that stand side by side are joined.
type Operator uint8

// The operators.
const (
	And Operator = iota // both must hold
	// Or is Lucene's: one must hold; one with + must, one with - must not, and
	// where one must, those without a sign do not matter.
	Or
)

// Options of Parse. The zero value is the search bar's.
type Options struct {
	// DefaultFields are what a term without a field is sought in; none: the line
	// and every field (match.AnyField).
	DefaultFields []string
	// DefaultOperator joins terms that stand side by side.
	DefaultOperator Operator
	// Lenient takes a text that is no query for words, each to be found. What is
	// left to fail are the limits.
	Lenient bool
	// UpperCase makes operators of AND, OR and NOT alone, as Lucene does. Without
	// it and, or and not are operators too, as in KQL.
	UpperCase bool
}

// A Query is a text that was understood. It is immutable.
type Query struct {
	root  node
	where match.Predicate
}

// Parse reads a query. An empty one selects everything. Errors are fault.Invalid
// around an *Error, fault.TooLarge for an expression that costs too much.
func Parse(text string, o Options) (*Query, error) {
	q, err := parse(text, &o)
	if err != nil && o.Lenient && len(text) <= maxLength {
		q, err = words(text, &o)
	}
	return q, err
}

func parse(text string, o *Options) (*Query, error) {
	p := &parser{src: text, o: o}
	if len(text) > maxLength {
		return nil, p.errorAt(maxLength, "", "query of %d bytes is longer than %d", len(text), maxLength)
	}
	root, err := p.query()
	if err != nil {
		return nil, err
	}
	return p.finish(root)
}

// finish makes a query's predicate.
func (p *parser) finish(root node) (*Query, error) {
	c := compiler{p: p}
	where, err := c.node(root)
	if err != nil {
		return nil, err
	}
	return &Query{root: root, where: match.Simplify(where)}, nil
}

// words reads a text in which nothing but space has a meaning.
func words(text string, o *Options) (*Query, error) {
	p := &parser{src: text, o: o}
	var parts []node
	for _, w := range strings.Fields(text) {
		if len(parts) == maxTerms {
			return nil, p.errorAt(0, "", "the query has more than %d terms", maxTerms)
		}
		parts = append(parts, &term{kind: phrase, text: w})
	}
	if o.DefaultOperator == Or {
		return p.finish(joined(orOf(parts)))
	}
	return p.finish(joined(andOf(parts)))
}

// String renders the query in its canonical form: what it parses to is the same
// query, under any options that it was parsed with.
func (q *Query) String() string {
	var b strings.Builder
	q.root.write(&b)
	return b.String()
}

// Predicate returns what the query selects. It belongs to the query and MUST NOT
// be changed.
func (q *Query) Predicate() match.Predicate { return q.where }

// All reports whether the query selects everything.
func (q *Query) All() bool { _, ok := q.where.(match.True); return ok }
