// Package spans makes raw records of spans, under the names of schema/span.go.
// The receivers of trace protocols (OTLP, Jaeger, Zipkin) fill a Span and append
// it to their set; what a span looks like in the store is decided here once.
//
// A Span is used for one span after another and allocates nothing for each:
// names and values alias the request's body, and text that the body does not hold
// as it is lies in the set. Both must live until Ingest returned. A Span is not
// safe for concurrent use, and nothing here survives a crash.
//
// Names. Where a resource attribute and a span attribute have one name, the
// resource's stands under schema.ResourcePrefix; scope attributes always stand
// under schema.ScopePrefix; a span attribute that has the name of one of the
// span's own fields stands under schema.AttributePrefix. Of attributes that
// repeat a name the last one is kept, as OpenTelemetry's maps have it.
package spans

import (
	"encoding/base64"
	"encoding/hex"
	"math"
	"slices"
	"sync"

	"github.com/meshtrail/meshtrail/internal/receive"
	"github.com/meshtrail/meshtrail/internal/receive/jsontext"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/schema"
)

// Kind is what part a span has in an exchange; the numbers are OTLP's.
type Kind uint8

// The kinds.
const (
	Unset Kind = iota
	Internal
	Server
	Client
	Producer
	Consumer
)

var kinds = [...]string{Unset: "", Internal: "internal", Server: "server", Client: "client", Producer: "producer", Consumer: "consumer"}

// String returns the value of schema.SpanKind, "" for Unset.
func (k Kind) String() string {
	if int(k) < len(kinds) {
		return kinds[k]
	}
	return ""
}

// ParseKind returns the kind of this name, in letters of either case, or Unset.
func ParseKind(name []byte) Kind {
	for k := Internal; int(k) < len(kinds); k++ {
		if equalFold(name, kinds[k]) {
			return k
		}
	}
	return Unset
}

func equalFold(b []byte, lower string) bool {
	if len(b) != len(lower) {
		return false
	}
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// Status is a span's outcome; the numbers are OTLP's.
type Status uint8

// The outcomes.
const (
	NoStatus Status = iota
	OK
	Error
)

// MaxFields bounds the fields of one span, its resource's included: more would
// not stay fields in the store.
const MaxFields = 1900

// A Span is one span as its sender gave it. New makes one; Reset it before each
// span. Byte slices may alias the body.
type Span struct {
	TraceID  [16]byte
	SpanID   [8]byte
	ParentID [8]byte // zero: a root
	Name     []byte
	Kind     Kind
	Start    uint64 // ns since 1970
	Duration uint64 // ns
	Status   Status
	Message  []byte // of the status
	State    []byte // W3C tracestate
	Flags    uint32 // W3C flags in the low byte; kept when HasFlags
	HasFlags bool
	Shared   bool   // a Zipkin server span under its client's id
	Peer     []byte // the service on the other side, as the sender named it

	DroppedAttributes, DroppedEvents, DroppedLinks uint64

	set      *receive.Set
	resource []record.Field // lies in the set
	scope    []record.Field // named already; lies in the set
	names    string         // value of schema.SpanResource for resource
	attrs    []record.Field
	binary   []byte // value of schema.SpanBinary
	bytes    []byte // what binary begins with: resource, then scope
	nbytes   int    // of the resource
	events   []byte // JSON array, open
	links    []byte // JSON array, open
	nevents  int
	nlinks   int
	table    names
	common   []*name // of resource
}

var pool = sync.Pool{New: func() any { return new(Span) }}

// New returns a Span for the spans of a request that are collected in set.
func New(set *receive.Set) *Span {
	s := pool.Get().(*Span)
	s.set = set
	s.Reset()
	return s
}

// Release gives the Span's memory back. What it appended to the set stays.
func (s *Span) Release() {
	clear(s.attrs[:cap(s.attrs)])
	if cap(s.events) > 1<<20 || cap(s.links) > 1<<20 || cap(s.attrs) > 4*MaxFields {
		return
	}
	s.set, s.resource, s.scope, s.names, s.bytes, s.nbytes = nil, nil, nil, "", s.bytes[:0], 0
	s.Reset()
	pool.Put(s)
}

// Reset forgets the last span. Resource and scope stay.
func (s *Span) Reset() {
	*s = Span{
		set: s.set, resource: s.resource, scope: s.scope, names: s.names, table: s.table, common: s.common,
		attrs: s.attrs[:0], binary: append(s.binary[:0], s.bytes...), bytes: s.bytes, nbytes: s.nbytes, events: s.events[:0], links: s.links[:0],
	}
}

// SetResource says what the spans that follow have in common: attributes, which
// stay the caller's and must live as long as the set. The scope is forgotten.
func (s *Span) SetResource(fields []record.Field) {
	s.resource, s.scope, s.names = fields, nil, ""
	s.bytes, s.nbytes = s.bytes[:0], 0
	s.common = s.common[:0]
	need := 0
	for i := range fields {
		need += 2*len(fields[i].Name) + 1
	}
	if need == 0 {
		return
	}
	b := s.set.Text(need)
	for i := range fields {
		b = schema.AppendListed(b, fields[i].Name)
	}
	s.names = receive.Str(s.set.Keep(b))
}

// SetScope says which instrumentation made the spans that follow.
func (s *Span) SetScope(name, version []byte, attributes []record.Field) {
	s.bytes = s.bytes[:s.nbytes]
	if s.scope = nil; len(name) == 0 && len(version) == 0 && len(attributes) == 0 {
		return
	}
	s.set.Open()
	if len(name) > 0 {
		s.set.Field(schema.ScopeName, receive.Str(name))
	}
	if len(version) > 0 {
		s.set.Field(schema.ScopeVersion, receive.Str(version))
	}
	for i := range attributes {
		s.set.Value(s.prefixed(schema.ScopePrefix, attributes[i].Name), attributes[i].Value)
	}
	s.scope = s.set.Close()
}

// ResourceBytes says that an attribute of the resource, which was just set, is
// bytes; its value is base64.
func (s *Span) ResourceBytes(name []byte) {
	s.bytes = schema.AppendListed(s.bytes, receive.Str(name))
	s.nbytes = len(s.bytes)
}

// ScopeBytes is ResourceBytes of the scope.
func (s *Span) ScopeBytes(name []byte) {
	s.bytes = schema.AppendListed(s.bytes, schema.ScopePrefix+receive.Str(name))
}

func (s *Span) prefixed(prefix, name string) string {
	b := append(s.set.Text(len(prefix)+len(name)), prefix...)
	return receive.Str(s.set.Keep(append(b, name...)))
}

// Attr adds an attribute. One without a name or a value is not kept: there is no
// null.
func (s *Span) Attr(name []byte, v record.Value) {
	if len(name) > 0 && v.Kind != 0 {
		s.attrs = append(s.attrs, record.Field{Name: receive.Str(name), Value: v})
	}
}

// Add is Attr of a field.
func (s *Span) Add(f record.Field) {
	if f.Name != "" && f.Value.Kind != 0 {
		s.attrs = append(s.attrs, f)
	}
}

// Text adds an attribute that is text.
func (s *Span) Text(name, text []byte) {
	if len(name) == 0 {
		return
	}
	s.attrs = append(s.attrs, record.Field{})
	f := &s.attrs[len(s.attrs)-1]
	f.Name, f.Value.Kind, f.Value.Str = receive.Str(name), record.String, receive.Str(text)
}

// Bytes adds an attribute that is bytes: base64 in the store, and listed as such.
func (s *Span) Bytes(name, v []byte) {
	if len(name) == 0 {
		return
	}
	s.binary = schema.AppendListed(s.binary, receive.Str(name))
	b := base64.StdEncoding.AppendEncode(s.set.Text(base64.StdEncoding.EncodedLen(len(v))), v)
	s.Text(name, s.set.Keep(b))
}

// Attrs returns how many attributes the span has so far.
func (s *Span) Attrs() int { return len(s.attrs) + len(s.resource) + len(s.scope) }

// Event adds what happened at a time within the span. attributes are members of
// a JSON object, without its braces; see AppendMember.
func (s *Span) Event(ns uint64, name, attributes []byte) {
	b := s.events
	if s.nevents++; s.nevents == 1 {
		b = append(b, '[')
	} else {
		b = append(b, ',')
	}
	b = appendUint(append(b, `{"time":`...), min(ns, math.MaxInt64))
	b = jsontext.AppendString(append(b, `,"name":`...), name)
	s.events = append(appendAttributes(b, attributes), '}')
}

// Link adds a reference to another span. attributes are as Event's.
func (s *Span) Link(trace [16]byte, span [8]byte, state, attributes []byte) {
	b := s.links
	if s.nlinks++; s.nlinks == 1 {
		b = append(b, '[')
	} else {
		b = append(b, ',')
	}
	b = hex.AppendEncode(append(b, `{"traceId":"`...), trace[:])
	b = append(hex.AppendEncode(append(b, `","spanId":"`...), span[:]), '"')
	if len(state) > 0 {
		b = jsontext.AppendString(append(b, `,"traceState":`...), state)
	}
	s.links = append(appendAttributes(b, attributes), '}')
}

func appendAttributes(b, attributes []byte) []byte {
	if len(attributes) == 0 {
		return b
	}
	b = append(append(b, `,"attributes":{`...), attributes...)
	return append(b, '}')
}

// Append adds the span to the set as one raw record, or rejects it there under
// its reason.
func (s *Span) Append() {
	set := s.set
	if s.TraceID == [16]byte{} || s.SpanID == [8]byte{} {
		set.Reject("bad_span_id", "a span has no trace id or no span id", 1)
		return
	}
	if s.Attrs() > MaxFields {
		set.Reject("too_many_attributes", "a span has more attributes than are kept", 1)
		return
	}
	set.Open()
	s.own()
	s.name()
	for i := range s.attrs {
		f := &s.attrs[i]
		if f.Value.Kind == 0 {
			continue
		}
		if s.table.list[i].own && s.taken(f.Name) {
			if !s.said(f) {
				set.Value(s.prefixed(schema.AttributePrefix, f.Name), f.Value)
			}
			continue
		}
		set.Add(f)
	}
	set.Fields(s.scope)
	s.appendResource()
	if len(s.binary) > 0 {
		set.Field(schema.SpanBinary, s.kept(s.binary))
	}
	if s.nevents > 0 {
		set.Field(schema.SpanEvents, s.kept(append(s.events, ']')))
	}
	if s.nlinks > 0 {
		set.Field(schema.SpanLinks, s.kept(append(s.links, ']')))
	}
	set.Raws = append(set.Raws, record.Raw{Time: int64(min(s.Start, math.MaxInt64)), Attrs: set.Close()})
}

// kept copies text to the set.
func (s *Span) kept(b []byte) string {
	return receive.Str(s.set.Keep(append(s.set.Text(len(b)), b...)))
}

func (s *Span) hex(id []byte) string {
	return receive.Str(s.set.Keep(hex.AppendEncode(s.set.Text(2*len(id)), id)))
}

// own adds the fields that every span has under the same names.
func (s *Span) own() {
	set := s.set
	set.Kind = schema.KindSpan
	set.Once = true // a span has an id of its own
	set.Field(schema.RecordKind, schema.KindSpan)
	set.Field("trace_id", s.hex(s.TraceID[:]))
	set.Field("span_id", s.hex(s.SpanID[:]))
	if s.ParentID != [8]byte{} {
		set.Field(schema.SpanParent, s.hex(s.ParentID[:]))
	}
	set.Field(schema.SpanName, receive.Str(s.Name))
	if k := s.Kind.String(); k != "" {
		set.Field(schema.SpanKind, k)
	}
	set.Value(schema.SpanDuration, record.IntValue(int64(min(s.Duration, math.MaxInt64))))
	switch s.Status {
	case OK:
		set.Field(schema.SpanStatus, "ok")
	case Error:
		set.Field(schema.SpanStatus, "error")
	}
	text := func(name string, v []byte) {
		if len(v) > 0 {
			set.Field(name, receive.Str(v))
		}
	}
	text(schema.SpanStatusMessage, s.Message)
	text(schema.SpanState, s.State)
	text(schema.SpanPeer, s.Peer)
	if s.HasFlags {
		set.Field("trace_flags", s.hex([]byte{byte(s.Flags)}))
	}
	if s.Shared {
		set.Value(schema.SpanShared, record.BoolValue(true))
	}
	count := func(name string, n uint64) {
		if n > 0 {
			set.Value(name, record.IntValue(int64(min(n, math.MaxInt64))))
		}
	}
	count(schema.SpanDroppedAttributes, s.DroppedAttributes)
	count(schema.SpanDroppedEvents, s.DroppedEvents)
	count(schema.SpanDroppedLinks, s.DroppedLinks)
}

// taken reports whether an attribute may not have this name in this span.
func (s *Span) taken(name string) bool {
	switch name {
	case schema.ScopeName, schema.ScopeVersion:
		return len(s.scope) > 0
	case schema.SpanPeer:
		return len(s.Peer) > 0
	}
	return ownName(name)
}

// said reports whether an attribute only says again what the span says: exporters
// to Zipkin give service.name and peer.service twice.
func (s *Span) said(f *record.Field) bool {
	if f.Name == schema.SpanPeer {
		return f.Value.Str == receive.Str(s.Peer)
	}
	return f.Name == schema.ServiceName && slices.Contains(s.resource, *f)
}

// ownName reports whether name is one that only the span itself may give.
func ownName(name string) bool {
	switch name {
	case schema.RecordKind, "trace_id", "span_id", schema.SpanParent, schema.SpanName, schema.SpanKind,
		schema.SpanDuration, schema.SpanStatus, schema.SpanStatusMessage, schema.SpanState, "trace_flags",
		schema.SpanShared, schema.SpanEvents, schema.SpanLinks, schema.SpanResource, schema.SpanBinary,
		schema.ServiceName,
		schema.SpanDroppedAttributes, schema.SpanDroppedEvents, schema.SpanDroppedLinks, record.Labels:
		return true
	}
	return false
}

// appendResource adds the resource's fields, and says which they are.
func (s *Span) appendResource() {
	if len(s.resource) == 0 {
		return
	}
	names, renamed := s.names, false
	for i := range s.resource {
		f := s.resource[i]
		if n := s.common[i]; f.Name != schema.ServiceName && (s.table.has(n) || n.own && s.taken(f.Name)) {
			f.Name, renamed = s.prefixed(schema.ResourcePrefix, f.Name), true
		}
		s.set.Value(f.Name, f.Value)
	}
	if renamed { // rare: the list is written anew
		fields := s.set.Opened()
		b := s.set.Text(2 * (len(s.names) + len(s.resource)*len(schema.ResourcePrefix)))
		for _, f := range fields[len(fields)-len(s.resource):] {
			b = schema.AppendListed(b, f.Name)
		}
		names = receive.Str(s.set.Keep(b))
	}
	s.set.Field(schema.SpanResource, names)
}
