// Package normalise turns raw records into records with schema names: it finds
// out which platform wrote them, has that platform's parser read them, and keeps
// everything else whole under its own names.
//
// A wrong guess never loses data. A text line of a platform keeps the line as
// its body beside the fields; JSON keeps every member, under its canonical name
// or its own; what cannot be read as its field's type stays under its own name
// and the record is marked parse.status partial. What the receiver gave beside
// the payload is never overwritten (facts.Out).
//
// A record's time is the protocol's when it gave one, else the record's own,
// else the time of receipt. An own time that was not used stays a field.
//
// The package knows no protocol, no policy and no store; each platform is a
// package below it. A Normaliser owns its scratch memory and keeps nothing of a
// raw record beyond the call; it is not safe for concurrent use.
package normalise

import (
	"bytes"
	"errors"
	"unicode/utf8"

	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/normalise/applog"
	"github.com/meshtrail/meshtrail/internal/normalise/envoy"
	"github.com/meshtrail/meshtrail/internal/normalise/facts"
	"github.com/meshtrail/meshtrail/internal/normalise/field"
	"github.com/meshtrail/meshtrail/internal/normalise/jsonscan"
	"github.com/meshtrail/meshtrail/internal/normalise/stack"
	"github.com/meshtrail/meshtrail/internal/normalise/table"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/schema"
)

// Options say what is known of a raw record besides its bytes.
type Options struct {
	Platform string // declared platform; "" or one that Platforms lists
	Source   string // becomes log.source; "" sets none
	Now      int64  // time of receipt, ns: the time of a record without one
	// Clock is the time by which times are understood that name no year, ns: 0 is
	// Now, or if there is none what the machine's clock says.
	Clock int64
	Class record.Class // class to begin with; policy may change it
	// Kind is the record.kind that the receiver, and no sender, gives its records
	// as an attribute; "" for log records.
	Kind string
}

// A Refusal says why a raw record can not be kept as what it was declared to be.
type Refusal struct {
	Reason string // "malformed_json", "too_deep"
	Detail string
}

// Error returns the reason and the detail.
func (r *Refusal) Error() string { return r.Reason + ": " + r.Detail }

// Normaliser turns raw records into records of a batch.
type Normaliser struct {
	names        *jsonscan.Names
	outer, inner jsonscan.Object
	scratch      [2]layout // of objects whose shape is not remembered
	cols         facts.Columns
	own          ownColumns
	services     answering // to the name of the service
	levels       answering // to that of the severity
	out          facts.Out
	attrs        *facts.Attributes
	around       []record.Field // the names of an envelope
	operands     operands
	proxy        envoy.Proxy
	clean        []byte
	program      []byte // that the receiver named
	pod          []byte // that the receiver named
	slots        table.Slots
	lines        lines
	any          applog.Line // what any program may write
	platforms
}

// New returns a Normaliser.
func New() *Normaliser { return NewWith(nil) }

// NewWith returns a Normaliser that also knows the formats of an operator.
func NewWith(custom *Custom) *Normaliser {
	return &Normaliser{names: jsonscan.NewNames(mark), attrs: facts.NewAttributes(markAttribute), operands: operands{seen: facts.NewAttributes(markOperator)}, lines: newLines(custom)}
}

// Append appends exactly one record to b, or none when it returns a *Refusal.
// It returns no other error. A payload that was declared JSON and is no object
// is refused; any other payload is kept.
func (n *Normaliser) Append(b *record.Batch, raw *record.Raw, opt *Options) error {
	if raw.JSON {
		if err := n.outer.Scan(raw.Payload, n.names); err != nil {
			return refuse(err)
		}
	}
	if n.cols.Bind(b) {
		n.own.forget()
	}
	b.Begin(opt.Now, opt.Class)
	n.out = facts.Out{B: b, Cols: &n.cols, Fixed: raw.Time != 0, Format: "none", Now: nowOf(opt), Declared: opt.Platform}
	if n.lines.custom != nil {
		n.lines.custom.begin(opt.Source)
	}
	attrs, made := raw.Attrs, false
	if len(raw.Payload) == 0 && len(attrs) > 0 && opt.Kind == "" {
		attrs, made = n.operators(attrs, opt.Platform)
	}
	if len(attrs) > 0 {
		n.attributes(attrs, opt.Kind)
	}
	switch {
	case made:
		n.envoy.Write(&n.out, familyOf(opt.Platform))
	case raw.JSON:
		n.object(&n.outer, opt.Platform)
	case len(raw.Payload) > 0:
		n.line(raw.Payload, opt.Platform)
	}
	switch {
	case raw.Time != 0:
		b.SetTime(raw.Time)
	case n.out.Time != 0:
		b.SetTime(n.out.Time)
	}
	if (raw.Service != "" || len(n.out.Service) > 0) && !n.services.named(b, &serviceName) {
		if raw.Service != "" {
			n.out.Put(field.ServiceName, raw.Service)
		} else {
			n.out.DeriveBytes(field.ServiceName, n.out.Service)
		}
	}
	if raw.Level != "" && !n.levels.named(b, &levelName) {
		b.Str("severity_text", raw.Level)
	}
	n.out.Put(field.ParseFormat, n.out.Format)
	n.out.Put(field.ParseStatus, n.out.Status.String())
	if n.out.Odd != "" && n.out.Status == facts.Partial {
		n.out.Put(field.ParseError, n.out.Odd)
	}
	if opt.Source != "" {
		n.out.Put(field.LogSource, opt.Source)
	}
	b.End()
	n.out = facts.Out{}
	return nil
}

// attributes writes what the receiver gave beside the payload. What exceeds the
// number of fields of a record, or has no usable name, goes whole into one field.
// kind is the one record.kind that is believed.
func (n *Normaliser) attributes(attrs []record.Field, kind string) {
	b := n.out.B
	n.out.Attrs = n.attrs
	var spilled []record.Field
	n.proxy.Begin()
	last := n.attrs.Begin()
	for i := range attrs {
		a := &attrs[i]
		if i >= jsonscan.MaxMembers || a.Name == "" || len(a.Name) > jsonscan.MaxName {
			spilled = append(spilled, *a)
			continue
		}
		last = n.attrs.Next(last, a.Name)
		switch {
		case last.Mark == unreadable || a.Value.Kind == record.String && !utf8.ValidString(a.Value.Str):
			v := a.Value
			v.Str = string(jsonscan.EscapeUTF8(nil, []byte(v.Str), `\x`))
			b.Set(string(jsonscan.EscapeUTF8(nil, []byte(a.Name), `\x`)), v)
			b.Bool(field.ParseEscaped.String(), true)
			continue
		case last.Mark == ofIntake && (kind == "" || a.Name != schema.RecordKind || a.Value != record.StringValue(kind)):
			b.Set(a.Name+facts.Extracted, a.Value)
			continue
		case last.Mark == ofMesh && a.Value.Kind == record.String:
			n.out.Mesh = true
		case last.Mark == ofProgram && a.Value.Kind == record.String:
			n.program = append(n.program[:0], a.Value.Str...)
			n.out.Program = n.program
		case last.Mark == ofPod && a.Value.Kind == record.String:
			n.pod = append(n.pod[:0], a.Value.Str...)
			n.out.Pod = n.pod
		case last.Mark == ofProxy && n.proxy.Take(a):
			continue
		}
		last.Put(b, &a.Value)
	}
	n.proxy.Write(&n.out)
	if len(spilled) > 0 {
		b.Str("overflow.attributes", string(match.AppendJSON(nil, spilled)))
	}
}

func refuse(err error) error {
	var e *jsonscan.Error
	if errors.As(err, &e) && e.Deep {
		return &Refusal{Reason: "too_deep", Detail: e.Error()}
	}
	return &Refusal{Reason: "malformed_json", Detail: err.Error()}
}

// object writes a scanned object: a platform's, or any.
func (n *Normaliser) object(o *jsonscan.Object, platform string) {
	if o.Escaped {
		n.out.B.Bool(field.ParseEscaped.String(), true)
	}
	if len(o.Overflow) > 0 {
		if o == &n.inner && len(n.outer.Overflow) > 0 {
			n.out.B.StrBytes("overflow"+facts.Extracted, o.Overflow)
		} else {
			n.out.B.StrBytes("overflow", o.Overflow)
		}
	}
	l := n.layoutOf(o)
	if !n.platformObject(o, l, platform) {
		n.generic(o, l, platform)
	}
}

// line writes a payload that was not declared to be JSON.
func (n *Normaliser) line(p []byte, platform string) {
	w := unwrap(p)
	if w.time != 0 {
		n.out.Now = w.time // it also tells the year of a time without one
	}
	if len(w.pod) > 0 {
		n.out.DeriveBytes(field.K8sPodName, w.pod)
		n.out.Pod = w.pod
	}
	n.out.DeriveBytes(field.K8sContainerName, w.place)
	n.out.DeriveBytes(field.K8sNamespaceName, w.namespace)
	if len(w.stream) > 0 {
		n.out.DeriveBytes(field.LogIostream, w.stream)
		if w.partial {
			n.out.B.Bool(field.LogPartial.String(), true)
		}
		p = w.rest
	}
	inner := bytes.TrimRight(w.rest, "\r\n")
	whole := len(inner) > 1 && inner[0] == '{' && n.outer.Scan(inner, n.names) == nil
	if whole {
		if w.prefixed && len(w.stream) == 0 {
			n.body(p)
		}
		n.object(&n.outer, platform)
	} else {
		if !utf8.Valid(p) {
			n.clean = jsonscan.EscapeUTF8(n.clean[:0], p, `\x`)
			n.out.B.Bool(field.ParseEscaped.String(), true)
			p = n.clean
			inner = bytes.TrimRight(p, "\r\n")
			if len(w.stream) == 0 {
				inner = bytes.TrimRight(unwrap(p).rest, "\r\n")
			}
		}
		if !n.lines.read(inner, &n.out) && !n.syslogged(inner) && !n.anyText(inner, w.stamped, &n.out) {
			n.out.Format, n.out.Status = "text", facts.None
		}
		if bytes.IndexByte(inner, '\n') >= 0 {
			stack.Derive(inner, &n.out)
		}
		n.out.Str(field.Body, p)
	}
	switch {
	case w.time == 0:
	case n.out.Time == 0 && !n.out.Fixed:
		n.out.Time = w.time
	case n.out.Time != w.time && (whole || len(w.stream) > 0): // else the body has it
		n.out.DeriveBytes(field.EventCreated, w.stamp)
	}
}

// body writes a body that may hold bytes which are not UTF-8.
func (n *Normaliser) body(p []byte) {
	if !utf8.Valid(p) {
		n.clean = jsonscan.EscapeUTF8(n.clean[:0], p, `\x`)
		p = n.clean
	}
	n.out.Str(field.Body, p)
}

// wrapper is what a container runtime or a tool put before a line.
type wrapper struct {
	rest     []byte
	time     int64
	stream   []byte // of a CRI line
	partial  bool   // CRI: the line goes on
	prefixed bool
	stamped  []byte // rest with the time before it, which the program may have written itself
	pod      []byte // that kubectl named
	place    []byte // container that kubectl or docker compose named
	stamp    []byte // time as it was written
	// namespace of the pod, that kail named
	namespace []byte
}

// unwrap reads, in this order and each at most once, what kubectl logs --prefix
// ([pod/NAME/CONTAINER]), stern (NAME CONTAINER), docker compose, CRI (RFC3339Nano stdout|stderr P|F) and
// kubectl logs --timestamps put before a line.
func unwrap(p []byte) wrapper {
	w := wrapper{rest: p}
	if bytes.HasPrefix(p, []byte("[pod/")) {
		w.kubectl()
		p = w.rest
	} else if len(p) > 0 && p[0]-'a' < 26 {
		w.stern()
		p = w.rest
	}
	if i := bytes.IndexByte(p, '|'); i > 0 && i < 64 && i+1 < len(p) && p[i+1] == ' ' && p[i-1] == ' ' && composeName(p[:i]) {
		w.rest, w.prefixed, w.place = p[i+2:], true, bytes.TrimRight(p[:i], " ")
	}
	ns, n := facts.Stamp(w.rest)
	if n == 0 || n >= len(w.rest) || w.rest[n] != ' ' || !facts.Plausible(ns) {
		return w
	}
	after := w.rest[n+1:]
	w.stamp = w.rest[:n]
	if len(after) >= 9 && (string(after[:7]) == "stdout " || string(after[:7]) == "stderr ") && (after[7] == 'F' || after[7] == 'P') && (after[8] == ' ' || after[8] == '\n') {
		w.rest, w.time, w.stream, w.partial, w.prefixed = after[9:], ns, after[:6], after[7] == 'P', true
		return w
	}
	if after[0] == '{' || after[0] == '[' || after[0] == '"' || n > 27 && w.rest[10] == 'T' && w.rest[19] == '.' && w.rest[23]-'0' < 10 && w.rest[26]-'0' < 10 { // nanoseconds: few programs write them
		w.rest, w.time, w.prefixed, w.stamped = after, ns, true, w.rest
	}
	return w
}

// anyText reads a line of any program. A time that may be kubectl's or the
// program's own ([main] stands behind it in either) is the program's when the line
// says more with it.
func (n *Normaliser) anyText(inner, stamped []byte, o *facts.Out) bool {
	if len(stamped) > 0 && !applog.Headed(inner, o.Now) {
		if line := bytes.TrimRight(stamped, "\r\n"); n.syslogged(line) || n.any.Text(line, o) {
			return true
		}
	}
	return n.any.Text(inner, o)
}

// kubectl reads [pod/NAME/CONTAINER] and the space behind it.
func (w *wrapper) kubectl() {
	named, rest, ok := bytes.Cut(w.rest, []byte("] "))
	if !ok || len(named) > 512 {
		return
	}
	pod, container := facts.CutByte(named[len("[pod/"):], '/')
	if !plainWord(pod) || !plainWord(container) {
		return
	}
	w.pod, w.place, w.rest, w.prefixed = pod, container, rest, true
}

// stern reads POD CONTAINER and the space behind each, when the first is named as
// a controller names its pods and an object, a bracket or a date follows; and of
// kail NAMESPACE/POD[CONTAINER]: and the space behind it.
func (w *wrapper) stern() {
	i := bytes.IndexByte(w.rest[:min(len(w.rest), 256)], ' ')
	if i < 8 || i+3 > len(w.rest) {
		return
	}
	if w.rest[i-1] == ':' && w.rest[i-2] == ']' {
		named, container, ok := bytes.Cut(w.rest[:i-2], []byte("["))
		ns, pod := facts.CutByte(named, '/')
		if ok && plainWord(ns) && plainWord(pod) && plainWord(container) {
			w.pod, w.place, w.namespace, w.rest, w.prefixed = pod, container, ns, w.rest[i+1:], true
		}
		return
	}
	pod, after := w.rest[:i], w.rest[i+1:]
	j := bytes.IndexByte(after[:min(len(after), 64)], ' ')
	if j < 2 || j+5 > len(after) || !plainWord(pod) || !plainWord(after[:j]) || len(facts.PodWorkload(pod)) == len(pod) {
		return
	}
	switch rest := after[j+1:]; {
	case rest[0] == '{', rest[0] == '[', rest[0] == '2' && rest[1] == '0' && rest[2]-'0' < 10:
		w.pod, w.place, w.rest, w.prefixed = pod, after[:j], rest, true
	}
}

func composeName(b []byte) bool {
	b = bytes.TrimRight(b, " ")
	for _, c := range b {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' && c != '.' {
			return false
		}
	}
	return len(b) > 0
}
