package native

import (
	"math"
	"net/http"
	"strings"

	"github.com/meshtrail/meshtrail/internal/access"
	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/httpd"
	"github.com/meshtrail/meshtrail/internal/query"
	words "github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/store"
)

// FacetsAnswer says what is in the fields asked for, in their order.
type FacetsAnswer struct {
	Records uint64      `json:"records"` // that the query selects
	Facets  []Facet     `json:"facets"`
	Stats   store.Stats `json:"stats"`
}

// Facet is what is in one field.
type Facet struct {
	Field   string        `json:"field"`
	Records uint64        `json:"records"`         // that have it
	Values  []words.Count `json:"values"`          // most frequent first
	More    int           `json:"more"`            // values beyond those
	TooMany bool          `json:"tooMany"`         // to be counted: Values is empty
	Stats   *FacetStats   `json:"stats,omitempty"` // when asked for
}

// FacetStats is statistics of one field. The numbers, which only a field with
// Numbers has, are in the unit of its name.
type FacetStats struct {
	Distinct uint64   `json:"distinct"`
	Exact    bool     `json:"exact"` // Distinct is no estimate
	Numbers  uint64   `json:"numbers"`
	Min      *float64 `json:"min,omitempty"`
	Max      *float64 `json:"max,omitempty"`
	Sum      *float64 `json:"sum,omitempty"`
	Avg      *float64 `json:"avg,omitempty"`
	Stddev   *float64 `json:"stddev,omitempty"`
}

func (a reading) facets(w http.ResponseWriter, r *http.Request) error {
	scope, err := access.ReadScope(httpd.PrincipalFrom(r.Context()))
	if err != nil {
		return err
	}
	f := a.form(r)
	req := query.FacetsRequest{Span: f.span(), Limit: f.number("limit", 10), Stats: f.flag("stats")}
	if req.Limit == 0 {
		req.Limit = -1
	}
	for _, names := range r.Form["fields"] {
		for name := range strings.SplitSeq(names, ",") {
			req.Fields = append(req.Fields, strings.TrimSpace(name))
		}
	}
	if len(req.Fields) == 0 && f.err == nil {
		f.err = fault.Errorf(fault.Invalid, "parameter fields is missing")
	}
	if f.err != nil {
		return f.err
	}
	res, err := a.o.Engine.Facets(r.Context(), scope, req)
	if err != nil {
		return err
	}
	out := FacetsAnswer{Records: res.Records, Facets: []Facet{}, Stats: res.Stats}
	for _, x := range res.Facets {
		n := Facet{Field: x.Field, Records: x.Records, Values: x.Values, More: x.More, TooMany: x.TooMany}
		if n.Values == nil {
			n.Values = []words.Count{}
		}
		if s := x.Stats; s != nil {
			n.Stats = &FacetStats{Distinct: s.Distinct, Exact: s.Exact, Numbers: s.Numbers}
			if s.Numbers > 0 {
				n.Stats.Min, n.Stats.Max, n.Stats.Sum = finite(s.Min), finite(s.Max), finite(s.Sum)
				n.Stats.Avg, n.Stats.Stddev = finite(s.Mean), finite(s.Stddev)
			}
		}
		out.Facets = append(out.Facets, n)
	}
	return writeJSON(w, out)
}

// finite returns nil for what JSON cannot write.
func finite(f float64) *float64 {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return nil
	}
	return &f
}
