package jaeger

import (
	"net/http"

	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/trace"
)

// A trace by its id in Tempo's form: OTLP's messages as protobuf, or as JSON
// under Tempo's older name "batches". Times (start, end) are seconds.

func echo(w http.ResponseWriter, _ *http.Request) error {
	return send(w, http.StatusOK, "text/plain; charset=utf-8", []byte("echo"))
}

func (d *door) tempoTrace(r *http.Request) (*trace.Trace, trace.Answer, error) {
	who, err := asker(r)
	if err != nil {
		return nil, trace.Answer{}, err
	}
	f := form{q: r.URL.Query()}
	from, to := f.number(0, 1e9, "start"), f.number(0, 1e9, "end")
	if f.err != nil {
		return nil, trace.Answer{}, f.err
	}
	traces, told, err := d.some(r, who, []string{r.PathValue("id")}, from, to, true)
	if err == nil && len(traces) == 0 {
		err = fault.Errorf(fault.NotFound, "trace not found")
	}
	if err != nil {
		return nil, told, err
	}
	return &traces[0], told, nil
}

// tempo answers Trace { repeated ResourceSpans = 1 }.
func (d *door) tempo(w http.ResponseWriter, r *http.Request) error {
	t, _, err := d.tempoTrace(r)
	if err != nil {
		return err
	}
	if accepts(r, "application/protobuf") {
		b, err := proto.Marshal(&otlp.TracesData{ResourceSpans: toOTLP(t.Spans)})
		if err != nil {
			return err
		}
		return send(w, http.StatusOK, "application/protobuf", b)
	}
	j := writer{}
	j.open('{')
	list := toOTLP(t.Spans)
	j.array("batches", len(list), func(i int) { j.resourceSpans(list[i], "scopeSpans") })
	j.close('}')
	return send(w, http.StatusOK, "application/json", j.done())
}

// tempoV2 answers TraceByIDResponse { Trace trace = 1; status = 3 (COMPLETE,
// PARTIAL); string message = 4 }.
func (d *door) tempoV2(w http.ResponseWriter, r *http.Request) error {
	t, told, err := d.tempoTrace(r)
	if err != nil {
		return err
	}
	message := ""
	if told.Partial && len(told.Warnings) > 0 {
		message = told.Warnings[0]
	}
	if accepts(r, "application/protobuf") {
		inner, err := proto.Marshal(&otlp.TracesData{ResourceSpans: toOTLP(t.Spans)})
		if err != nil {
			return err
		}
		b := protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), inner)
		if told.Partial {
			b = protowire.AppendVarint(protowire.AppendTag(b, 3, protowire.VarintType), 1)
			b = protowire.AppendString(protowire.AppendTag(b, 4, protowire.BytesType), message)
		}
		return send(w, http.StatusOK, "application/protobuf", b)
	}
	j := writer{}
	j.open('{')
	j.key("trace")
	j.tracesJSON(toOTLP(t.Spans))
	if told.Partial {
		j.text("status", "PARTIAL")
		j.text("message", message)
	}
	j.close('}')
	return send(w, http.StatusOK, "application/json", j.done())
}
