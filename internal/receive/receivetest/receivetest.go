// Package receivetest is for the tests of receivers: an intake that remembers
// what it was handed, and a way to call a receiver's routes as the server would.
//
// It knows no protocol. What it remembers is copied, as the contract of
// record.Raw demands of every consumer; nothing survives the test.
package receivetest

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/meshtrail/meshtrail/internal/access"
	"github.com/meshtrail/meshtrail/internal/httpd"
	"github.com/meshtrail/meshtrail/internal/pipeline"
	"github.com/meshtrail/meshtrail/internal/record"
)

// An Intake remembers requests. It refuses what Refuse says and fails with Err.
type Intake struct {
	// Refuse returns a reason to refuse a record, or "".
	Refuse func(r *record.Raw) (reason, detail string)
	// Before, when set, is called first; its error is returned.
	Before func(ctx context.Context, req *pipeline.Request) error

	mu   sync.Mutex
	reqs []pipeline.Request
}

// Ingest implements pipeline.Intake.
func (in *Intake) Ingest(ctx context.Context, req *pipeline.Request) (pipeline.Outcome, error) {
	if in.Before != nil {
		if err := in.Before(ctx, req); err != nil {
			return pipeline.Outcome{}, err
		}
	}
	var out pipeline.Outcome
	kept := *req
	kept.Raws = make([]record.Raw, len(req.Raws))
	kept.Rejected = append([]record.Count(nil), req.Rejected...)
	for i := range req.Raws {
		kept.Raws[i] = clone(&req.Raws[i])
		if in.Refuse != nil {
			if reason, detail := in.Refuse(&req.Raws[i]); reason != "" {
				out.Refused = append(out.Refused, pipeline.Refusal{Index: i, Reason: reason, Detail: detail})
				continue
			}
		}
		out.Stored++
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	in.reqs = append(in.reqs, kept)
	return out, nil
}

func clone(r *record.Raw) record.Raw {
	c := record.Raw{Payload: bytes.Clone(r.Payload), JSON: r.JSON, Time: r.Time, Service: strings.Clone(r.Service), Level: r.Level}
	for _, f := range r.Attrs {
		f.Name, f.Value.Str = strings.Clone(f.Name), strings.Clone(f.Value.Str)
		c.Attrs = append(c.Attrs, f)
	}
	return c
}

// Requests returns what was handed in.
func (in *Intake) Requests() []pipeline.Request {
	in.mu.Lock()
	defer in.mu.Unlock()
	return append([]pipeline.Request(nil), in.reqs...)
}

// Raws returns the records of all requests.
func (in *Intake) Raws() (out []record.Raw) {
	for _, r := range in.Requests() {
		out = append(out, r.Raws...)
	}
	return out
}

// Discard is an Intake that looks at nothing, for benchmarks.
type Discard struct{}

// Ingest implements pipeline.Intake.
func (Discard) Ingest(_ context.Context, req *pipeline.Request) (pipeline.Outcome, error) {
	return pipeline.Outcome{Stored: len(req.Raws)}, nil
}

// Principal is the caller of requests made by Call.
var Principal = &access.Principal{Name: "tester", Tenant: "acme", Grants: []access.Permission{access.LogsWrite}}

// Handler serves the routes as httpd does, with Principal as the caller.
func Handler(routes []httpd.Route) http.Handler {
	mux := http.NewServeMux()
	for _, rt := range routes {
		mux.HandleFunc(rt.Pattern, func(w http.ResponseWriter, r *http.Request) {
			r = r.WithContext(httpd.WithPrincipal(r.Context(), Principal))
			max := rt.MaxBody
			if max == 0 {
				max = 1 << 20
			}
			r.Body = http.MaxBytesReader(w, r.Body, max)
			if err := rt.Handle(w, r); err != nil {
				rt.Fail(w, r, err)
			}
		})
	}
	return mux
}

// Call sends one request and returns the answer. Headers are "Name: value".
func Call(h http.Handler, method, target string, body []byte, headers ...string) (*http.Response, string) {
	r := httptest.NewRequest(method, target, bytes.NewReader(body))
	for _, line := range headers {
		k, v, _ := strings.Cut(line, ": ")
		r.Header.Set(k, v)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	resp := w.Result()
	text, _ := io.ReadAll(resp.Body)
	return resp, string(text)
}

// Fields returns a record's fields as "name=value", by name.
func Fields(r *record.Raw) string {
	out := make([]string, 0, len(r.Attrs))
	for _, f := range r.Attrs {
		out = append(out, f.Name+"="+f.Value.Text())
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

// Lines returns records one a line: time in ns, and fields by name.
func Lines(raws []record.Raw) string {
	var b strings.Builder
	for i := range raws {
		b.WriteString(strconv.FormatInt(raws[i].Time, 10) + " " + strings.ReplaceAll(Fields(&raws[i]), "\n", `\n`) + "\n")
	}
	return b.String()
}
