package native

import (
	"net/http"
	"time"

	"github.com/meshtrail/meshtrail/internal/access"
	"github.com/meshtrail/meshtrail/internal/httpd"
	"github.com/meshtrail/meshtrail/internal/query"
)

// consistency answers how well records say who did what, when, where, and how it
// ended: of the last day unless a time range is named.
func (a reading) consistency(w http.ResponseWriter, r *http.Request) error {
	scope, err := access.ReadScope(httpd.PrincipalFrom(r.Context()))
	if err != nil {
		return err
	}
	f := a.form(r)
	req := query.ConsistencyRequest{
		From: f.time("from", f.now.Add(-24*time.Hour).UnixNano()), To: f.time("to", f.now.UnixNano()), Remote: r.RemoteAddr,
	}
	if f.err != nil {
		return f.err
	}
	out, err := a.o.Engine.Consistency(r.Context(), scope, req)
	if err != nil {
		return err
	}
	return writeJSON(w, out)
}
