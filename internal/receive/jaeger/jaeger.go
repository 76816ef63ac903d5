// Package jaeger receives what Jaeger's collector and agent receive: batches in
// Thrift over HTTP (POST /api/traces), spans over gRPC (jaeger.api_v2
// CollectorService), and the datagrams that Jaeger's clients send to an agent
// (UDP, Thrift compact and binary). Clients that ask how to sample are told to
// send everything: what is kept is for the policy to decide.
//
// A batch's process is the resource of its spans. The span's parent id, or the
// first CHILD_OF reference within the trace, or else the first FOLLOWS_FROM one, is
// the parent; all references but a CHILD_OF one to the parent are links with the
// attribute opentracing.ref_type, and logs are events, named by
// their field "event", as OpenTelemetry's translation has it
// (pkg/translator/jaeger). The tags span.kind, error=true and otel.status_code say
// what the span's kind and status are, and stand there.
//
// Over HTTP and gRPC success is answered for what is durable, and the same bytes
// again are the same request (receive.Set.Once). Datagrams have no answer: what is
// lost is lost. Nothing here survives a crash.
package jaeger

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/meshtrail/meshtrail/internal/access"
	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/httpd"
	"github.com/meshtrail/meshtrail/internal/httpd/rpc"
	"github.com/meshtrail/meshtrail/internal/receive"
	"github.com/meshtrail/meshtrail/internal/receive/listen"
	"github.com/meshtrail/meshtrail/internal/receive/thrift"
)

// Name is the receiver's name in sources and metrics.
const Name = "jaeger"

// Info tells what the receiver is.
func Info() receive.Info {
	return receive.Info{
		Name: Name, Protocol: "Jaeger", Versions: "Thrift (jaeger.thrift), gRPC api_v2",
		Over:       "HTTP: /api/traces, also below /jaeger; gRPC: jaeger.api_v2.CollectorService; UDP: compact and binary",
		Ack:        "202 or OK when durable; the same batch again is seen once. UDP is lossy: it has no acknowledgement",
		Credential: "token (Bearer, Basic); UDP: the listener's networks",
		Limits:     "65,000 bytes a datagram",
		Tested:     []string{"jaeger-client-go 2.30.0 (HTTP and UDP)"},
	}
}

// Config of the receiver. The zero Config is complete: HTTP and gRPC come in at
// the one port, and datagrams nowhere.
type Config struct {
	// Compact takes datagrams of the compact protocol, by custom at port 6831.
	Compact listen.Config `yaml:"udp_compact"`
	// Binary takes datagrams of the binary protocol, by custom at port 6832.
	Binary listen.Config `yaml:"udp_binary"`
}

// Validate returns all that is wrong with the configuration.
func (c Config) Validate() error {
	var errs []error
	errs = append(errs, receive.Part("udp_compact", c.Compact.ValidateDatagrams())...)
	errs = append(errs, receive.Part("udp_binary", c.Binary.ValidateDatagrams())...)
	return errors.Join(errs...)
}

// A Receiver answers Jaeger's clients and agents.
type Receiver struct {
	inlet     *receive.Inlet
	listeners []*listen.Listener
}

// New returns a receiver that stands in s.
func New(cfg Config, s receive.Shared) (*Receiver, error) {
	v := &Receiver{inlet: receive.NewInlet(Name, s)}
	for _, udp := range []struct {
		cfg     listen.Config
		compact bool
	}{{cfg.Compact, true}, {cfg.Binary, false}} {
		if !udp.cfg.On() {
			continue
		}
		l, err := listen.New(Name, udp.cfg, s, listen.Datagrams(v.packets(udp.compact)))
		if err != nil {
			return nil, err
		}
		v.listeners = append(v.listeners, l)
	}
	return v, nil
}

// Listeners returns the ports of the datagrams.
func (v *Receiver) Listeners() []*listen.Listener { return v.listeners }

// Routes returns the routes, those of gRPC too.
func (v *Receiver) Routes() []httpd.Route {
	var routes []httpd.Route
	for _, prefix := range []string{"", "/jaeger"} {
		routes = append(routes, httpd.Route{
			Pattern: "POST " + prefix + "/api/traces", Need: access.LogsWrite, MaxBody: v.inlet.Limits.Body, Handle: v.traces, Fail: v.fail,
		})
	}
	// They say the same to everyone, and the clients that ask have no credential.
	for _, path := range []string{"/sampling", "/api/sampling", "/jaeger/api/sampling"} {
		routes = append(routes, httpd.Route{Pattern: "GET " + path, Need: access.Public, Handle: sampling})
	}
	routes = append(routes, rpc.Routes(access.LogsWrite,
		v.inlet.Service("jaeger.api_v2.CollectorService", rpc.Method{Name: "PostSpans", Handle: v.postSpans}))...)
	return append(routes, rpc.Routes(access.Public, rpc.Service{
		Name: "jaeger.api_v2.SamplingManager", Methods: []rpc.Method{{Name: "GetSamplingStrategy", Handle: samplingCall}},
	})...)
}

// traces answers POST /api/traces.
func (v *Receiver) traces(w http.ResponseWriter, r *http.Request) error {
	kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	switch kind = strings.ToLower(strings.TrimSpace(kind)); kind {
	case "application/x-thrift", "application/vnd.apache.thrift.binary":
	default:
		return fault.Errorf(fault.Invalid, "Unsupported content type: %.60s", kind)
	}
	decode := func(body *receive.Body, set *receive.Set) error {
		in := thrift.Binary(body.Bytes)
		return decodeThrift(&in, set, v.inlet.Limits)
	}
	return v.inlet.Receive(r, r.Header.Get("Content-Encoding"), decode, func(*receive.Taken) error {
		w.Header().Set("Content-Length", "0")
		w.WriteHeader(http.StatusAccepted)
		return nil
	})
}

// fail answers an error as text.
func (v *Receiver) fail(w http.ResponseWriter, _ *http.Request, err error) {
	code := v.inlet.Failed(w, err, receive.AskBearer)
	text := receive.Reason(err) + "\n"
	receive.Answer(w, code, "text/plain; charset=utf-8", []byte(text))
}

// postSpans answers PostSpans(PostSpansRequest) returns (PostSpansResponse {}).
func (v *Receiver) postSpans(s *rpc.Stream) error {
	decode := func(body *receive.Body, set *receive.Set) error {
		return decodeProto(body.Bytes, set, v.inlet.Limits)
	}
	return v.inlet.Call(s, decode, func(*receive.Taken) error { return s.Send(nil) })
}

// packets takes datagrams, each one call of emitBatch.
func (v *Receiver) packets(compact bool) listen.Packets {
	return func(ctx context.Context, from receive.Sender, batch []listen.Packet) error {
		set := receive.NewSet()
		defer set.Release()
		size := 0
		for _, p := range batch {
			size += len(p.Data)
			if err := decodeDatagram(p.Data, compact, set, v.inlet.Limits); err != nil {
				set.Reject("malformed_datagram", err.Error(), 1)
			}
		}
		_, err := v.inlet.IngestLossy(ctx, from, set, size)
		return err
	}
}

// sampling answers a client that asks how to sample.
func sampling(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Content-Type", "application/json")
	_, err := w.Write([]byte(`{"strategyType":"PROBABILISTIC","probabilisticSampling":{"samplingRate":1}}`))
	return err
}

// samplingCall answers SamplingStrategyResponse { SamplingStrategyType strategyType
// = 1 (PROBABILISTIC = 0); ProbabilisticSamplingStrategy probabilisticSampling = 2 {
// double samplingRate = 1 } }.
func samplingCall(s *rpc.Stream) error {
	return s.Send([]byte("\x12\x09\x09\x00\x00\x00\x00\x00\x00\xf0\x3f"))
}
