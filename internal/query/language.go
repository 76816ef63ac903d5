package query

import (
	"strings"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/query/logql"
	"github.com/meshtrail/meshtrail/internal/query/lucene"
	"github.com/meshtrail/meshtrail/internal/query/plan"
)

// Language says how the query of a request is written.
type Language string

// The languages.
const (
	// LogQL is the default; only it has metric queries.
	LogQL Language = ""
	// Search is the language of the search bar (spec/search.md): Lucene's and
	// KQL's, joined. It selects records and does nothing else.
	Search Language = "search"
	// Compiled is for doors that read a language of their own (Elasticsearch's
	// JSON): the request's Where is the query, and its text only goes on record.
	Compiled Language = "compiled"
)

// ParseLanguage reads the name of a language that a request may be written in.
func ParseLanguage(name string) (Language, error) {
	switch name {
	case "", "logql":
		return LogQL, nil
	case string(Search):
		return Search, nil
	}
	return LogQL, fault.WithHint(fault.Errorf(fault.Invalid, "language %q is unknown", name), "write search or logql")
}

// String returns the name that ParseLanguage reads.
func (l Language) String() string {
	if l == LogQL {
		return "logql"
	}
	return string(l)
}

// put adds the language to what goes on record, when it is not the usual one.
func (l Language) put(detail map[string]string) map[string]string {
	if l != LogQL && l != "logql" {
		detail["language"] = string(l)
	}
	return detail
}

// read reads a query: a log query is planned at once; of a metric query the tree
// is returned. Every way into the engine reads its query here.
func read(lang Language, text string, where match.Predicate) (*plan.Log, logql.Expr, error) {
	switch lang {
	case LogQL, "logql":
		x, err := logql.Parse(text)
		if err != nil {
			return nil, nil, err
		}
		l, ok := x.(*logql.Log)
		if !ok {
			return nil, x, nil
		}
		p, err := plan.Select(l)
		return p, nil, err
	case Search:
		q, err := lucene.Parse(text, lucene.Options{})
		if err != nil {
			return nil, nil, err
		}
		return compiled(q.Predicate()), nil, nil
	case Compiled:
		return compiled(where), nil, nil
	}
	_, err := ParseLanguage(string(lang))
	return nil, nil, err
}

// readLog is read for requests that want records.
func readLog(lang Language, text string, where match.Predicate) (*plan.Log, error) {
	if lang == LogQL || lang == "logql" {
		x, err := logql.ParseLog(text)
		if err != nil {
			return nil, err
		}
		return plan.Select(x)
	}
	l, _, err := read(lang, text, where)
	return l, err
}

// compiled plans a predicate. What it says of the retention class is found by
// walking it: a class that it asks for by name is one that it cannot do without
// asking for, so one below a Not is named and not wanted.
func compiled(where match.Predicate) *plan.Log {
	l := &plan.Log{Where: match.Simplify(where)}
	var walk func(p match.Predicate, want bool)
	walk = func(p match.Predicate, want bool) {
		switch p := p.(type) {
		case match.And:
			for _, q := range p {
				walk(q, want)
			}
		case match.Or:
			for _, q := range p {
				walk(q, want)
			}
		case match.Not:
			walk(p.P, !want)
		default:
			if match.FieldOf(p) != match.Class {
				return
			}
			l.NamesClass = true
			if !want {
				return
			}
			switch p := p.(type) {
			case match.Eq:
				l.WantsClass = append(l.WantsClass, p.Value)
			case match.In:
				l.WantsClass = append(l.WantsClass, p.Values...)
			}
		}
	}
	walk(l.Where, true)
	return l
}

// Selectors is the language of those who hold a question against records that are
// not stored yet: the rules of a policy.
type Selectors struct{}

// Predicate compiles what selects records: a LogQL selector with the filters that
// need no other stage, or, when the text does not begin with {, the search
// language. It may not ask for the retention class, which rules decide.
func (Selectors) Predicate(text string) (match.Predicate, error) {
	lang := Search
	if strings.HasPrefix(strings.TrimSpace(text), "{") {
		lang = LogQL
	}
	l, err := readLog(lang, text, nil)
	switch {
	case err != nil:
		return nil, err
	case l.Pipe != nil:
		return nil, fault.WithHint(fault.Errorf(fault.Invalid, "only selectors and filters can be held against a record before it is stored"), "leave out parsers, formats and distinct: fields have their names already")
	case l.NamesClass:
		return nil, fault.Errorf(fault.Invalid, "the class of a record is what rules decide: it is not known yet")
	}
	return l.Where, nil
}
