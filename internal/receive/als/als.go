// Package als receives Envoy's access logs over gRPC (envoy.service.accesslog,
// v3 and v2, which are the same on the wire), of HTTP and of TCP.
//
// Each entry becomes a JSON object of Envoy's own access log operators under the
// names that meshes give them in their JSON access logs, so that what the record
// means is found out in one place, whichever way it came. What no operator stands
// for keeps a name of its own (docs/shippers/mesh.md has the list). The proxy that
// sent it is said once per stream, in its first message, and goes with each record.
//
// The protocol has no answer: a stream that breaks has lost what was on the way,
// and Envoy tells nobody. Hence Info.Lossy. What can be done is done: a message
// that cannot be kept yet is held and tried again, nothing more is read of the
// stream meanwhile, and HTTP/2 then stops the sender, whose buffer fills first.
// An entry that is wrong in itself is counted and its neighbours are kept.
package als

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"

	"github.com/meshtrail/meshtrail/internal/access"
	"github.com/meshtrail/meshtrail/internal/httpd"
	"github.com/meshtrail/meshtrail/internal/httpd/rpc"
	"github.com/meshtrail/meshtrail/internal/receive"
	"github.com/meshtrail/meshtrail/internal/record"
)

// Name is the receiver's name in sources and metrics.
const Name = "als"

// Info tells what the receiver is.
func Info() receive.Info {
	return receive.Info{
		Name: Name, Protocol: "Envoy gRPC access log service", Versions: "v3, v2; HTTP and TCP entries",
		Over: "gRPC: AccessLogService/StreamAccessLogs", Lossy: true, Credential: "token (grpc_service.initial_metadata: authorization)",
		Tested: []string{"messages made with the types of go-control-plane 1.40.0, sent by grpc-go 1.84.0 (replayed)"},
	}
}

// Config of the receiver. The zero Config is complete.
type Config struct{}

// Validate finds nothing wrong.
func (Config) Validate() error { return nil }

// A Receiver takes streams of access logs.
type Receiver struct{ inlet *receive.Inlet }

// New returns a receiver that stands in s.
func New(_ Config, s receive.Shared) (*Receiver, error) {
	return &Receiver{receive.NewInlet(Name, s)}, nil
}

// Routes returns the service of both versions.
func (r *Receiver) Routes() []httpd.Route {
	m := rpc.Method{Name: "StreamAccessLogs", Stream: true, Handle: r.stream}
	return rpc.Routes(access.LogsWrite,
		r.inlet.Service("envoy.service.accesslog.v3.AccessLogService", m),
		r.inlet.Service("envoy.service.accesslog.v2.AccessLogService", m))
}

// A stream is what is remembered between the messages of a stream.
type stream struct {
	from receive.Sender
	id   record.BatchID // of the next batch: a batch that is tried again is seen once
	node node
}

// stream takes messages until the sender ends the stream. It answers only then:
// Envoy expects nothing before.
func (r *Receiver) stream(s *rpc.Stream) error {
	from, err := r.inlet.IdentifyStream(s.Request())
	if err != nil {
		return err
	}
	var origin [16]byte
	rand.Read(origin[:])
	st := &stream{from: from, id: record.BatchID{Origin: "als:" + hex.EncodeToString(origin[:])}}
	for {
		m, err := s.Next()
		if err == io.EOF {
			return s.Send(nil) // StreamAccessLogsResponse {}
		}
		if err != nil {
			return err
		}
		if err := r.message(s.Context(), st, m); err != nil {
			return err
		}
	}
}

// message takes in one message.
func (r *Receiver) message(ctx context.Context, st *stream, m rpc.Message) error {
	var body *receive.Body
	var broken error
	err := r.inlet.Retry(ctx, 0, func() (err error) {
		if body, err = r.inlet.Bodies.Message(m); err != nil && !m.Whole() {
			broken = err // part of it is gone: it cannot be read again
			return nil
		}
		return err
	})
	if err = errors.Join(err, broken); err != nil {
		return err
	}
	defer body.Release()
	set := receive.NewSet()
	defer set.Release()
	d := decoder{set: set, lim: r.inlet.Limits, node: &st.node}
	if err := d.message(body.Bytes); err != nil {
		set.Reject("malformed_message", err.Error(), 1)
	}
	_, err = r.inlet.IngestRetry(ctx, 0, st.from, st.id, set, body)
	st.id.Seq += uint64(len(set.Raws))
	if err != nil {
		return err
	}
	return r.inlet.Hold(ctx, st.from)
}
