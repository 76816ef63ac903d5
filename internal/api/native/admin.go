package native

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"time"

	"github.com/meshtrail/meshtrail/internal/access"
	"github.com/meshtrail/meshtrail/internal/audit"
	"github.com/meshtrail/meshtrail/internal/httpd"
	"github.com/meshtrail/meshtrail/internal/ledger"
	"github.com/meshtrail/meshtrail/internal/pipeline"
	"github.com/meshtrail/meshtrail/internal/receive/sources"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/store"
)

// AdminOptions are what the administrator's routes need of a server.
type AdminOptions struct {
	Audit   audit.Recorder
	Version string
	Started time.Time
	Seal    func(ctx context.Context) error
	Sources func() []store.SourceTotals
	Intake  func() []sources.Status // nil: unknown
	// Unparsed returns the shapes of a tenant's records that no parser understood
	// whole; nil: unknown.
	Unparsed   func(record.TenantID) []pipeline.Shape
	Store      func() store.Status
	StoreOf    func(record.TenantID) store.Status
	Checkpoint func() ledger.Checkpoint
}

// Admin returns the routes that look after a server: seal, sources, what was not understood of
// what they sent, and status.
func Admin(o AdminOptions) []httpd.Route {
	a := admin{o}
	return []httpd.Route{
		{Pattern: "POST /api/v1/seal", Need: access.Admin, Handle: a.seal},
		{Pattern: "GET /api/v1/sources", Need: access.Evidence, Handle: a.sources},
		{Pattern: "GET /api/v1/unparsed", Need: access.Evidence, Handle: a.unparsed},
		{Pattern: "GET /api/v1/status", Need: access.LogsRead, Handle: a.status},
	}
}

type admin struct{ o AdminOptions }

// Checkpoint is a signed checkpoint of the ledger in the API's form.
type Checkpoint struct {
	Origin string `json:"origin"`
	Size   int64  `json:"size"`
	Root   string `json:"root"` // hex
	At     string `json:"at"`   // RFC 3339
	Note   string `json:"note"` // as signed: keep it elsewhere to detect a rollback
}

func checkpoint(c ledger.Checkpoint) Checkpoint {
	return Checkpoint{
		Origin: c.Origin, Size: c.Size, Root: hex.EncodeToString(c.Root[:]), Note: string(c.Note),
		At: time.Unix(0, c.At).UTC().Format(time.RFC3339Nano),
	}
}

// SealAnswer says that everything received so far is sealed.
type SealAnswer struct {
	Sealed     bool       `json:"sealed"`
	Checkpoint Checkpoint `json:"checkpoint"`
}

// seal writes everything that is only in the journal into segments, under a new
// checkpoint. It answers when that is durable.
func (a admin) seal(w http.ResponseWriter, r *http.Request) error {
	if err := putOnRecord(r, a.o.Audit, "seal", nil); err != nil {
		return err
	}
	if err := a.o.Seal(r.Context()); err != nil {
		return err
	}
	return writeJSON(w, SealAnswer{true, checkpoint(a.o.Checkpoint())})
}

// StoreStatus is the state of the store. It holds nothing of any record.
type StoreStatus struct {
	Segments        int    `json:"segments"`
	SegmentBytes    int64  `json:"segmentBytes"`
	Records         uint64 `json:"records"` // sealed and not yet sealed
	UnsealedRecords int64  `json:"unsealedRecords"`
	UnsealedBytes   int64  `json:"unsealedBytes"` // as JSON would take
	JournalBytes    int64  `json:"journalBytes"`
	// What was written and destroyed since the history began.
	SealedBytes       int64  `json:"sealedBytes"`
	Compactions       int64  `json:"compactions"`
	CompactedBytes    int64  `json:"compactedBytes"`
	DestroyedSegments int64  `json:"destroyedSegments"`
	DestroyedRecords  uint64 `json:"destroyedRecords"`
	Holds             int    `json:"holds"` // legal holds in force

	Damaged map[string]string `json:"damaged"` // file → what is wrong with it
	Failed  string            `json:"failed,omitempty"`
}

func storeStatus(st store.Status) StoreStatus {
	out := StoreStatus{
		Segments: st.Segments, SegmentBytes: st.SegmentBytes, Records: st.Records, UnsealedRecords: st.UnsealedRecords,
		UnsealedBytes: st.UnsealedBytes, JournalBytes: st.JournalBytes, Damaged: st.Damaged,
		SealedBytes: st.SealedBytes, Compactions: st.Compactions, CompactedBytes: st.CompactedBytes,
		DestroyedSegments: st.DestroyedSegments, DestroyedRecords: st.DestroyedRecords, Holds: st.Holds,
	}
	if st.Failed != nil {
		out.Failed = st.Failed.Error()
	}
	return out
}

// StatusAnswer says how the server is. It holds nothing of any record. To who is
// no administrator Store tells of the own tenant alone: its segments and records.
type StatusAnswer struct {
	Version    string      `json:"version"`
	Started    string      `json:"started"` // RFC 3339
	Tenant     string      `json:"tenant"`
	Principal  string      `json:"principal"`
	Store      StoreStatus `json:"store"`
	Checkpoint Checkpoint  `json:"checkpoint"`
}

func (a admin) status(w http.ResponseWriter, r *http.Request) error {
	p := httpd.PrincipalFrom(r.Context())
	st := a.o.StoreOf(p.Tenant)
	if p.May(access.Admin) {
		st = a.o.Store()
	}
	return writeJSON(w, StatusAnswer{
		Version: a.o.Version, Started: a.o.Started.UTC().Format(time.RFC3339), Tenant: string(p.Tenant), Principal: p.Name,
		Store: storeStatus(st), Checkpoint: checkpoint(a.o.Checkpoint()),
	})
}

// putOnRecord puts an administrative act on record before it is done.
func putOnRecord(r *http.Request, rec audit.Recorder, action string, detail map[string]string) error {
	p := httpd.PrincipalFrom(r.Context())
	return rec.Record(r.Context(), audit.Act{
		Principal: p.Name, Tenant: string(p.Tenant), Action: action, Outcome: audit.Allowed, Remote: r.RemoteAddr, Detail: detail,
	})
}

func writeJSON(w http.ResponseWriter, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	_, err = w.Write(append(data, '\n'))
	return err
}
