package native

import (
	"net/http"

	"github.com/meshtrail/meshtrail/internal/access"
	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/httpd"
	"github.com/meshtrail/meshtrail/internal/query"
	"github.com/meshtrail/meshtrail/internal/store"
)

// ExplainAnswer says how a query is answered: what is read of the store, and what
// is done with it.
type ExplainAnswer struct {
	Language string           `json:"language"`
	Query    string           `json:"query"` // canonical
	Kind     string           `json:"kind"`  // log or metric
	Reads    []ExplainReading `json:"reads"`
}

// ExplainReading is one reading of the store.
type ExplainReading struct {
	Query string `json:"query"`
	// Where is the predicate that the store evaluates, the asker's scope included.
	Where string `json:"where"`
	// Stages run on each record that Where holds for; none when Where says it all.
	Stages []string `json:"stages,omitempty"`
	How    string   `json:"how"`
	From   string   `json:"from"` // of the records that are read
	To     string   `json:"to"`
	// Records and Stats, with run=true, are of counting what Where holds for: how
	// many blocks there are, and how many were passed over and why.
	Records *int64       `json:"records,omitempty"`
	Stats   *store.Stats `json:"stats,omitempty"`
}

func (a reading) explain(w http.ResponseWriter, r *http.Request) error {
	scope, err := access.ReadScope(httpd.PrincipalFrom(r.Context()))
	if err != nil {
		return err
	}
	f := a.form(r)
	span := f.span()
	req := query.ExplainRequest{
		Query: r.Form.Get("query"), Language: span.Language, From: span.From, To: span.To, Run: f.flag("run"), Remote: r.RemoteAddr,
	}
	if f.err != nil {
		return f.err
	}
	x, err := a.o.Engine.Explain(r.Context(), scope, req)
	if err != nil {
		return err
	}
	out := ExplainAnswer{Language: x.Language, Query: x.Query, Kind: x.Kind, Reads: []ExplainReading{}}
	for i, n := range x.Readings {
		e := ExplainReading{
			Query: x.Reads[i].Query, Where: n.Where, Stages: x.Reads[i].Stages, How: x.Reads[i].How,
			From: string(appendTime(nil, n.From)), To: string(appendTime(nil, n.To)), Stats: n.Stats,
		}
		if n.Stats != nil {
			e.Records = &n.Stats.RowsMatched
		}
		out.Reads = append(out.Reads, e)
	}
	return writeJSON(w, out)
}

// FormatAnswer is a query in its canonical form.
type FormatAnswer struct {
	Query string `json:"query"`
}

func (a reading) format(w http.ResponseWriter, r *http.Request) error {
	if _, err := access.ReadScope(httpd.PrincipalFrom(r.Context())); err != nil {
		return err
	}
	f := a.form(r)
	lang, pretty := f.language(), f.flag("pretty")
	if f.err != nil {
		return f.err
	}
	text, err := query.Format(lang, r.Form.Get("query"), pretty)
	if err != nil {
		return err
	}
	return writeJSON(w, FormatAnswer{text})
}

// LintAnswer is what there is to say of a query, in the order of its text.
type LintAnswer struct {
	Findings []LintFinding `json:"findings"`
}

// LintFinding is one of these. Line and Col count from 1, Col in characters.
type LintFinding struct {
	Line       int    `json:"line"`
	Col        int    `json:"col"`
	Severity   string `json:"severity"` // error, warning or info
	Text       string `json:"text"`
	Suggestion string `json:"suggestion,omitempty"`
}

func (a reading) lint(w http.ResponseWriter, r *http.Request) error {
	if _, err := access.ReadScope(httpd.PrincipalFrom(r.Context())); err != nil {
		return err
	}
	f := a.form(r)
	lang := f.language()
	if f.err == nil && len(r.Form.Get("query")) > 1<<20 {
		f.err = fault.Errorf(fault.TooLarge, "the query is too long")
	}
	if f.err != nil {
		return f.err
	}
	found, err := query.Lint(lang, r.Form.Get("query"))
	if err != nil {
		return err
	}
	out := LintAnswer{Findings: []LintFinding{}}
	for _, n := range found {
		out.Findings = append(out.Findings, LintFinding{n.Line, n.Col, n.Severity, n.Text, n.Suggestion})
	}
	return writeJSON(w, out)
}
