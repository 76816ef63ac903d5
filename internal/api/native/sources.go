package native

import (
	"cmp"
	"net/http"
	"slices"
	"time"

	"github.com/meshtrail/meshtrail/internal/httpd"
	"github.com/meshtrail/meshtrail/internal/receive/sources"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/store"
)

// SourcesAnswer tells of every source of the caller's tenant.
type SourcesAnswer struct {
	Sources []Source `json:"sources"`
}

// States of a source.
const (
	stateOK     = "ok"     // it has sent, and if it is expected to, in time
	stateSilent = "silent" // it is expected to send and has not
	stateUnseen = "unseen" // nothing came since the server started, and nothing is missed yet
)

// A Source is the account of a source since the history began, which is durable,
// and beside it what is known of it since the server started, which is not.
type Source struct {
	store.SourceTotals
	State  string        `json:"state"`
	Lossy  bool          `json:"lossy"` // records may be lost on their way and nobody is told
	Intake *SourceIntake `json:"intake,omitempty"`
}

// A SourceIntake is what is known of a source since the server started.
type SourceIntake struct {
	Receiver  string         `json:"receiver,omitempty"`
	Records   uint64         `json:"records"`
	Bytes     uint64         `json:"bytes"`
	Rejected  []record.Count `json:"rejected,omitempty"`  // and dropped on arrival, by reason
	FirstSeen int64          `json:"firstSeen,omitempty"` // Unix ns
	LastSeen  int64          `json:"lastSeen,omitempty"`
	// Ingest time less event time: of the newest record, and at most in the last minute.
	LagSeconds    float64 `json:"lagSeconds"`
	MaxLagSeconds float64 `json:"maxLagSeconds"`
	// How far event times lay in the future, at most in the last minute.
	SkewSeconds        float64 `json:"skewSeconds"`
	ExpectEverySeconds float64 `json:"expectEverySeconds,omitempty"`
	SilentSince        int64   `json:"silentSince,omitempty"` // Unix ns
}

func (a admin) sources(w http.ResponseWriter, r *http.Request) error {
	if err := putOnRecord(r, a.o.Audit, "sources", nil); err != nil {
		return err
	}
	tenant := httpd.PrincipalFrom(r.Context()).Tenant
	out := SourcesAnswer{Sources: []Source{}}
	at := map[string]int{}
	for _, s := range a.o.Sources() {
		if s.Tenant == tenant {
			at[s.Source] = len(out.Sources)
			out.Sources = append(out.Sources, Source{SourceTotals: s, State: stateUnseen})
		}
	}
	var live []sources.Status
	if a.o.Intake != nil {
		live = a.o.Intake()
	}
	for i := range live {
		if live[i].Tenant != tenant {
			continue
		}
		j, ok := at[live[i].Source]
		if !ok { // nothing of it was ever kept
			j = len(out.Sources)
			out.Sources = append(out.Sources, Source{SourceTotals: store.SourceTotals{Tenant: tenant, Source: live[i].Source}})
		}
		out.Sources[j].live(&live[i])
	}
	slices.SortFunc(out.Sources, func(a, b Source) int { return cmp.Compare(a.Source, b.Source) })
	return writeJSON(w, out)
}

// live adds what is known since the server started.
func (s *Source) live(x *sources.Status) {
	s.State, s.Lossy = stateOK, x.Lossy
	switch {
	case x.Silent:
		s.State = stateSilent
	case x.Last.IsZero():
		s.State = stateUnseen
	}
	s.Intake = &SourceIntake{
		Receiver: x.Receiver, Records: x.Records, Bytes: x.Bytes, Rejected: x.Rejected,
		FirstSeen: unixNano(x.First), LastSeen: unixNano(x.Last),
		LagSeconds: x.Lag.Seconds(), MaxLagSeconds: x.MaxLag.Seconds(), SkewSeconds: x.Skew.Seconds(),
		ExpectEverySeconds: x.Every.Seconds(), SilentSince: unixNano(x.Since),
	}
}

func unixNano(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}
