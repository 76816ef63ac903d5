package native

import (
	"net/http"

	"github.com/meshtrail/meshtrail/internal/access"
	"github.com/meshtrail/meshtrail/internal/httpd"
)

// UnparsedAnswer lists what records of the caller's tenant look like that no parser
// understood whole, since the server started, the most frequent first.
type UnparsedAnswer struct {
	Shapes []UnparsedShape `json:"shapes"`
}

// An UnparsedShape is one of them: Records, of which Estimated may be of other
// shapes.
type UnparsedShape struct {
	Source    string `json:"source"`
	Format    string `json:"format"`          // layout, as parse.format has it
	Status    string `json:"status"`          // none, partial
	Error     string `json:"error,omitempty"` // what did not fit, as parse.error has it
	Shape     string `json:"shape"`
	Records   uint64 `json:"records"`
	Estimated uint64 `json:"estimated"`
	FirstSeen int64  `json:"firstSeen"` // Unix ns
	LastSeen  int64  `json:"lastSeen"`
	Class     string `json:"class"`
	Example   string `json:"example"` // as policy left it, cut
}

// unparsed shows parts of records: who asks must be allowed to read them.
func (a admin) unparsed(w http.ResponseWriter, r *http.Request) error {
	scope, err := access.ReadScope(httpd.PrincipalFrom(r.Context()))
	if err != nil {
		return err
	}
	if err := putOnRecord(r, a.o.Audit, "unparsed", nil); err != nil {
		return err
	}
	out := UnparsedAnswer{Shapes: []UnparsedShape{}}
	if a.o.Unparsed == nil {
		return writeJSON(w, out)
	}
	for _, s := range a.o.Unparsed(scope.Tenant()) {
		if s.Class == access.AuditClass && !scope.MayReadAudit() {
			continue
		}
		out.Shapes = append(out.Shapes, UnparsedShape{
			Source: s.Source, Format: s.Format, Status: s.Status, Error: s.Error, Shape: s.Shape, Records: s.Count, Estimated: s.Over,
			FirstSeen: s.First, LastSeen: s.Last, Class: string(s.Class), Example: s.Example,
		})
	}
	return writeJSON(w, out)
}
