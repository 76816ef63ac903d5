package query_test

import (
	"strings"
	"testing"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/query"
	"github.com/meshtrail/meshtrail/internal/record"
)

// TestLargeAnswers: a limit on records does not bound what they hold. An answer
// that is made as a whole is refused when it grows too large, and one that is
// streamed is handed on in pieces.
func TestLargeAnswers(t *testing.T) {
	e := engine(t, some(t, 300))
	for _, c := range []struct {
		q     string
		limit int
		ok    bool
	}{
		{"{} | line_format `{{ repeat 900000 \"x\" }}`", 300, false},
		{"{} | label_format big=`{{ repeat 900000 \"x\" }}`", 300, false},
		{"{} | line_format `{{ repeat 900000 \"x\" }}`", 10, true},
		{"{} | line_format `{{ repeat 900 \"x\" }}`", 300, true},
	} {
		req := day(c.q)
		req.Limit = c.limit
		res, err := e.Query(t.Context(), scopeOf(t), req)
		switch {
		case c.ok && (err != nil || res.Partial):
			t.Errorf("%s, limit %d: %v", c.q, c.limit, err)
		case !c.ok && (!fault.Is(err, fault.Overload) || !strings.Contains(err.Error(), "MiB") || fault.HintOf(err) == ""):
			t.Errorf("%s, limit %d: %v", c.q, c.limit, err)
		}
		rows, most := 0, 0
		sum, err := e.Stream(t.Context(), scopeOf(t), query.StreamRequest{Query: c.q, From: req.Start, To: req.End, Limit: c.limit}, func(rs []record.Record) error {
			held := 0
			for i := range rs {
				for _, f := range rs[i].Fields {
					held += len(f.Value.Str)
				}
			}
			rows, most = rows+len(rs), max(most, held)
			return nil
		})
		if err != nil || rows != c.limit || sum.Rows != rows || sum.Truncated != (rows < 300) {
			t.Errorf("stream of %s, limit %d: %d rows, %+v, %v", c.q, c.limit, rows, sum, err)
		}
		if most > 8<<20 {
			t.Errorf("stream of %s: %d MiB at once", c.q, most>>20)
		}
	}
}
