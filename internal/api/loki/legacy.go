package loki

import (
	"net/http"
	"strconv"
	"time"

	"github.com/meshtrail/meshtrail/internal/access"
	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/query"
)

// The API before version 1, below /api/prom: log queries, labels and tail.

func (d *door) legacyQuery(r *http.Request, scope access.Scope, p *params) ([]byte, error) {
	req, err := d.rangeRequest(r, p)
	if err != nil {
		return nil, err
	}
	req.Query = legacyText(p)
	res, err := d.o.Engine.Query(r.Context(), scope, req)
	if err != nil {
		return nil, err
	}
	if res.Kind != query.Streams {
		return nil, fault.Errorf(fault.Invalid, "legacy endpoints only support streams result type")
	}
	f := form{all: query.Parses(req.Query)}
	return appendLegacy(nil, f.streams(res.Streams), &res.Stats), nil
}

// legacyText joins the query with the expression that old clients sent apart.
func legacyText(p *params) string {
	text := p.text("query")
	if s := p.text("regexp"); s != "" {
		text += " |~ " + strconv.Quote(s)
	}
	return text
}

func (d *door) legacyLabels(r *http.Request, scope access.Scope, p *params) ([]byte, error) {
	names, err := d.labelNames(r, scope, p)
	return appendLegacyValues(names), err
}

func (d *door) legacyValues(r *http.Request, scope access.Scope, p *params) ([]byte, error) {
	values, err := d.labelValues(r, scope, p)
	return appendLegacyValues(values), err
}

func appendLegacyValues(values []string) []byte {
	if len(values) == 0 {
		return []byte(`{}`)
	}
	return append(appendStrings([]byte(`{"values":`), values), '}')
}

func appendLegacyStream(b []byte, s *query.Stream) []byte {
	b = append(b, `{"labels":`...)
	b = match.AppendQuoted(b, selector(s.Labels))
	b = append(b, `,"entries":[`...)
	for i := range s.Entries {
		e := &s.Entries[i]
		b = append(comma(b, i), `{"ts":"`...)
		b = time.Unix(0, e.Record.Time).UTC().AppendFormat(b, time.RFC3339Nano)
		b = append(b, `","line":`...)
		b = append(match.AppendQuoted(b, e.Line), '}')
	}
	return append(b, "]}"...)
}

// selector writes labels as LogQL does: {a="b", c="d"}.
func selector(l query.Labels) string {
	b := []byte{'{'}
	for i := range l {
		if i > 0 {
			b = append(b, ", "...)
		}
		b = append(b, l[i].Name...)
		b = append(b, '=')
		b = strconv.AppendQuote(b, l[i].Value)
	}
	return string(append(b, '}'))
}
