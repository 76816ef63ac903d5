package native

import (
	"net/http"
	"strconv"

	"github.com/meshtrail/meshtrail/internal/access"
	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/httpd"
	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/query"
)

// context answers with the records around one, named by the time and ord of an
// earlier answer:
//
//	{"labels": {…}, "records": [{…}, …], "at": 5, "windowMs": 60000, "stats": {…}}
//
// The records are those of its stream in the order in which they were committed;
// records[at] is the one asked for.
func (a reading) context(w http.ResponseWriter, r *http.Request) error {
	scope, err := access.ReadScope(httpd.PrincipalFrom(r.Context()))
	if err != nil {
		return err
	}
	f := a.form(r)
	req := query.ContextRequest{
		Time: f.time("time", 0), Before: f.number("before", 10), After: f.number("after", 10),
		Audit: r.Form.Get("class") == string(access.AuditClass), Remote: r.RemoteAddr,
	}
	if r.Form.Get("time") == "" && f.err == nil {
		f.err = fault.Errorf(fault.Invalid, "parameter time is missing")
	}
	if req.Ord, err = strconv.ParseUint(r.Form.Get("ord"), 10, 64); err != nil && f.err == nil {
		f.err = fault.Errorf(fault.Invalid, "parameter ord: %q is not the ord of a record", r.Form.Get("ord"))
	}
	req.Window = f.duration("window", 0)
	if f.err != nil {
		return f.err
	}
	c, err := a.o.Engine.Context(r.Context(), scope, req)
	if err != nil {
		return err
	}
	b := append([]byte(nil), `{"labels":`...)
	b = appendJSON(b, c.Labels.Map())
	b = append(b, `,"records":[`...)
	for i := range c.Records {
		if i > 0 {
			b = append(b, ',')
		}
		b = AppendRecord(b, &c.Records[i])
	}
	b = append(b, `],"at":`...)
	b = strconv.AppendInt(b, int64(c.At), 10)
	b = append(b, `,"windowMs":`...)
	b = strconv.AppendInt(b, c.Window/1e6, 10)
	b = append(b, `,"stats":`...)
	b = append(appendJSON(b, c.Stats), "}\n"...)
	w.Header().Set("Content-Type", "application/json")
	_, err = w.Write(b)
	return err
}

// duration reads a duration above 0, in ns.
func (f *form) duration(name string, def int64) int64 {
	s := f.r.Form.Get(name)
	if s == "" {
		return def
	}
	ns, ok := match.ParseDuration(s)
	if (!ok || ns <= 0) && f.err == nil {
		f.err = fault.WithHint(fault.Errorf(fault.Invalid, "parameter %s: %q is no duration", name, s), "write 30s, 5m or 1h")
	}
	return ns
}
