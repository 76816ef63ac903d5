package receive

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/meshtrail/meshtrail/internal/audit"
	"github.com/meshtrail/meshtrail/internal/httpd"
	"github.com/meshtrail/meshtrail/internal/pipeline"
	"github.com/meshtrail/meshtrail/internal/receive/sources"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/telemetry"
)

// Shared is what all receivers of a process have in common. Bodies bounds what
// they hold in memory together.
type Shared struct {
	Intake  pipeline.Intake
	Bodies  *Bodies
	Metrics *telemetry.Metrics // may be nil
	Logger  *slog.Logger       // may be nil
	Audit   audit.Recorder     // of senders who are refused; may be nil
	Sources *sources.Table     // what is known of each source; may be nil
	Rates   *Rates             // what credentials may send; nil: no bounds
	Places  *httpd.Places      // of connections on ports of receivers; nil: no bound
	// Lossy says that the protocol has no acknowledgement. The list of receivers
	// sets it, from Info.
	Lossy bool
}

// An Inlet is what a receiver hands its records in by: everything about taking
// records in that is the same in every protocol. A receiver adds how bytes become
// raw records, and what its clients are answered. It is safe for concurrent use.
type Inlet struct {
	Name   string // the receiver's, in sources and metrics
	Bodies *Bodies
	Limits Limits
	Meter  *Meter
	Log    *slog.Logger
	Lossy  bool // of Shared

	intake  pipeline.Intake
	sources *sources.Table
	rates   *Rates
	origins origins
}

// NewInlet returns the inlet of the receiver of this name.
func NewInlet(name string, s Shared) *Inlet {
	if s.Bodies == nil {
		s.Bodies = NewBodies(Limits{})
	}
	if s.Logger == nil {
		s.Logger = slog.New(slog.DiscardHandler)
	}
	return &Inlet{
		Name: name, Bodies: s.Bodies, Limits: s.Bodies.Limits(), Meter: NewMeter(s.Metrics, s.Logger, name),
		Log: s.Logger.With("receiver", name), Lossy: s.Lossy, intake: s.Intake, sources: s.Sources, rates: s.Rates,
	}
}

// A Taken is an intake request whose records are durable, refused or dropped.
// It and all that it points to end with the request.
type Taken struct {
	pipeline.Outcome
	Body *Body // decoded
	Set  *Set  // what decode made of it
}

// RefusedTotal returns how many records were refused for good, and the detail of the
// first one.
func (t *Taken) RefusedTotal() (n int, first string) {
	n, first = int(t.Set.RejectedTotal())+len(t.Outcome.Refused), t.Set.First
	if first == "" && len(t.Outcome.Refused) > 0 {
		first = t.Outcome.Refused[0].Reason + ": " + t.Outcome.Refused[0].Detail
	}
	return n, first
}

// Receive runs an intake request over HTTP: who sends it, its body without the
// content encoding, and which request it is, by KeyHeader or else by what decode
// found (Set.Key, Set.Once). decode fills the set from the body; answer is called
// when what it found is durable, or when it found nothing. Of an error nothing was
// answered yet: Route.Fail does it.
func (in *Inlet) Receive(r *http.Request, encoding string, decode func(body *Body, set *Set) error, answer func(*Taken) error) error {
	from, err := in.Identify(r)
	if err != nil {
		return err
	}
	from.answered = true
	body, err := in.Bodies.Read(r, encoding)
	if err != nil {
		return err
	}
	defer body.Release()
	id, err := RequestID(r, from, in.Name, body.Bytes)
	if err != nil {
		return err
	}
	set := NewSet()
	defer set.Release()
	if err := decode(body, set); err != nil {
		return err
	}
	id = contentID(id, from, in.Name, set, body)
	t := Taken{Body: body, Set: set}
	if t.Outcome, err = in.Ingest(r.Context(), from, id, set, body); err != nil {
		return err
	}
	return answer(&t)
}

// Ingest hands in what set holds, and counts it. It returns nil only once every
// record that was not refused or dropped is durable; a set without records is a
// success. body is what it was read from, for the counters; nil if it was not a body.
func (in *Inlet) Ingest(ctx context.Context, from Sender, id record.BatchID, set *Set, body *Body) (pipeline.Outcome, error) {
	var wire, decoded int64
	if body != nil {
		wire, decoded = body.Wire, int64(len(body.Bytes))
	}
	return in.ingest(ctx, from, id, set, wire, decoded)
}

func (in *Inlet) ingest(ctx context.Context, from Sender, id record.BatchID, set *Set, wire, decoded int64) (pipeline.Outcome, error) {
	if set.Total() == 0 {
		return pipeline.Outcome{}, nil
	}
	out, err := in.Meter.ingest(ctx, in.intake, in.request(from, id, set), wire, decoded)
	if err == nil {
		from.rate.took(wire, int64(set.Total()))
		in.sources.Took(in.sender(from), &sources.Load{
			Records: uint64(set.Total()), Bytes: uint64(max(decoded, 0)), Rejected: set.Rejected,
			Refused: out.Refused, Oldest: out.Oldest, Newest: out.Newest,
		})
	}
	return out, err
}

// sender returns what the table of sources calls from.
func (in *Inlet) sender(from Sender) sources.Sender {
	return sources.Sender{Tenant: from.Tenant, Source: from.Source, Receiver: in.Name, Lossy: from.Lossy || in.Lossy && !from.answered}
}

// Appended notes a batch that an agent's pipeline made and that was appended here
// as it is, with the bytes it came in.
func (in *Inlet) Appended(b *record.Batch, bytes int) {
	l := sources.Load{Records: b.Account.Received, Bytes: uint64(bytes), Rejected: b.Account.Rejected}
	for i, t := range b.Times() {
		if i == 0 {
			l.Oldest, l.Newest = t, t
		}
		l.Oldest, l.Newest = min(l.Oldest, t), max(l.Newest, t)
	}
	in.sources.Took(sources.Sender{Tenant: b.Tenant, Source: b.Source, Receiver: in.Name}, &l)
}

func (in *Inlet) request(from Sender, id record.BatchID, set *Set) *pipeline.Request {
	return &pipeline.Request{
		Tenant: from.Tenant, Source: from.Source, Platform: from.Platform, Class: from.Class,
		Kind: set.Kind, ID: id, Raws: set.Raws, Rejected: set.Rejected,
	}
}
