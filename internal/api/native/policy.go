package native

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/meshtrail/meshtrail/internal/access"
	"github.com/meshtrail/meshtrail/internal/audit"
	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/httpd"
	"github.com/meshtrail/meshtrail/internal/policy"
	"github.com/meshtrail/meshtrail/internal/query"
	words "github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/store"
)

// PolicyOptions are what the routes of the logging policy need of a server.
type PolicyOptions struct {
	Audit  audit.Recorder
	Engine *query.Engine
	Now    func() time.Time
	// Document renders the policy in force.
	Document func() *policy.Document
	// Parse reads the policy of a configuration file.
	Parse func(data []byte) (policy.Config, error)
	// Reveal turns a token of a tenant back.
	Reveal func(tenant words.TenantID, token string) (string, error)
}

// Policy returns the routes of the logging policy:
//
//	GET  /api/v1/policy          the policy in force, as JSON or Markdown
//	POST /api/v1/policy/dry-run  what another would do to stored records
//	POST /api/v1/tokens/reveal   the values that tokens stand for
func Policy(o PolicyOptions) []httpd.Route {
	p := policies{o: o, busy: make(chan struct{}, 1)}
	return []httpd.Route{
		{Pattern: "GET /api/v1/policy", Need: access.LogsRead, Handle: p.show},
		{Pattern: "POST /api/v1/policy/dry-run", Need: access.Admin, Handle: p.dryRun, Stream: true},
		{Pattern: "POST /api/v1/tokens/reveal", Need: access.Reveal, Handle: p.reveal},
	}
}

type policies struct {
	o    PolicyOptions
	busy chan struct{} // one trial at a time: each reads and changes many records
}

// Limits of a dry run and of a reversal.
const (
	maxPolicy   = 1 << 20 // bytes of a configuration
	trialRange  = 24 * time.Hour
	trialMost   = 1_000_000
	trialUsual  = 100_000
	maxRevealed = 100 // tokens
	maxReason   = 500 // bytes
)

func (p *policies) show(w http.ResponseWriter, r *http.Request) error {
	d := p.o.Document()
	switch f := r.URL.Query().Get("format"); f {
	case "", "json":
		return writeJSON(w, d)
	case "markdown":
		w.Header().Set("Content-Type", "text/markdown; charset=utf-8")
		_, err := w.Write(d.Markdown())
		return err
	default:
		return fault.WithHint(fault.Errorf(fault.Invalid, "unknown format %q", f), "use json or markdown")
	}
}

// TrialAnswer is what a policy would have done to stored records.
type TrialAnswer struct {
	From string `json:"from"` // RFC 3339
	To   string `json:"to"`
	*policy.TrialResult
}

// dryRun tries the policy of a configuration file on the newest stored records
// that the caller may read.
func (p *policies) dryRun(w http.ResponseWriter, r *http.Request) error {
	by := httpd.PrincipalFrom(r.Context())
	scope, err := access.ReadScope(by)
	if err != nil {
		return err
	}
	req, err := p.trialRange(r)
	if err != nil {
		return err
	}
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxPolicy))
	if err != nil {
		return fault.Errorf(fault.TooLarge, "read the configuration: more than %d bytes, or it was cut off", maxPolicy)
	}
	c, err := p.o.Parse(data)
	if err != nil {
		return err
	}
	trial, err := policy.NewTrial(c)
	if err != nil {
		return err
	}
	select {
	case p.busy <- struct{}{}:
		defer func() { <-p.busy }()
	default:
		return fault.WithHint(fault.Errorf(fault.Overload, "another dry run is under way"), "try again when it has ended")
	}
	if err := putOnRecord(r, p.o.Audit, "policy.dry-run", map[string]string{"sha256": trial.Result().SHA256}); err != nil {
		return err
	}
	sum, err := p.o.Engine.Stream(r.Context(), scope, req, func(rs []words.Record) error {
		trial.Add(by.Tenant, rs)
		return nil
	})
	if err != nil {
		return err
	}
	out := TrialAnswer{string(appendTime(nil, req.From)), string(appendTime(nil, req.To)), trial.Result()}
	note := func(format string, args ...any) { out.Notes = append(out.Notes, fmt.Sprintf(format, args...)) }
	note("stored records have been through the policy in force: what it dropped is not here to be kept, and what it redacted, masked, hashed or tokenised is not here to be found")
	if sum.Truncated {
		note("only the newest %d records of the range were looked at", req.Limit)
	}
	if sum.Partial {
		note("not everything could be read")
		out.Notes = append(out.Notes, sum.Warnings...)
	}
	return writeJSON(w, out)
}

// trialRange reads which records are tried.
func (p *policies) trialRange(r *http.Request) (query.StreamRequest, error) {
	q, now := r.URL.Query(), p.o.Now()
	req := query.StreamRequest{Query: "{}", Order: store.Newest, Limit: trialUsual, Remote: r.RemoteAddr, From: now.Add(-time.Hour).UnixNano(), To: now.UnixNano()}
	for name, to := range map[string]*int64{"from": &req.From, "to": &req.To} {
		if s := q.Get(name); s != "" {
			ns, err := ParseTime(s, now)
			if err != nil {
				return req, err
			}
			*to = ns
		}
	}
	if req.From >= req.To || req.To-req.From > int64(trialRange) {
		return req, fault.Errorf(fault.Invalid, "the range of a dry run is empty, or longer than %v", trialRange)
	}
	if s := q.Get("limit"); s != "" {
		if _, err := fmt.Sscanf(s, "%d", &req.Limit); err != nil || req.Limit < 1 || req.Limit > trialMost {
			return req, fault.Errorf(fault.Invalid, "parameter limit: %q is not 1 to %d", s, trialMost)
		}
	}
	return req, nil
}

// RevealRequest asks what tokens stand for.
type RevealRequest struct {
	Tokens []string `json:"tokens"`
	Reason string   `json:"reason"` // goes on record
}

// Revealed is one token and its value.
type Revealed struct {
	Token string `json:"token"`
	Found bool   `json:"found"`
	Value string `json:"value,omitempty"`
}

// RevealAnswer has the tokens in the order in which they were asked for.
type RevealAnswer struct {
	Tokens []Revealed `json:"tokens"`
}

// reveal turns tokens back. Each is an act of its own, on record before any value
// leaves: the record has the token and the reason, and never the value.
func (p *policies) reveal(w http.ResponseWriter, r *http.Request) error {
	var req RevealRequest
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, 64<<10))
	d.DisallowUnknownFields()
	if err := d.Decode(&req); err != nil {
		return fault.Errorf(fault.Invalid, "read the tokens: %w", err)
	}
	if len(req.Tokens) == 0 || len(req.Tokens) > maxRevealed {
		return fault.Errorf(fault.Invalid, "%d tokens, 1 to %d may be asked for at once", len(req.Tokens), maxRevealed)
	}
	if req.Reason == "" || len(req.Reason) > maxReason {
		return fault.WithHint(fault.Errorf(fault.Invalid, "a reason of 1 to %d bytes is needed", maxReason), "a case number; it goes on record with each token")
	}
	by := httpd.PrincipalFrom(r.Context())
	out := RevealAnswer{Tokens: []Revealed{}}
	for _, token := range req.Tokens {
		one := Revealed{Token: token}
		value, err := p.o.Reveal(by.Tenant, token)
		switch {
		case err == nil:
			one.Found, one.Value = true, value
		case !fault.Is(err, fault.NotFound):
			return err
		}
		detail := map[string]string{"token": token, "reason": req.Reason, "found": fmt.Sprint(one.Found)}
		if err := putOnRecord(r, p.o.Audit, "tokens.reveal", detail); err != nil {
			return err
		}
		out.Tokens = append(out.Tokens, one)
	}
	w.Header().Set("Cache-Control", "no-store")
	return writeJSON(w, out)
}
