package linkerd

import (
	"bytes"

	"github.com/meshtrail/meshtrail/internal/normalise/facts"
	"github.com/meshtrail/meshtrail/internal/normalise/field"
	"github.com/meshtrail/meshtrail/internal/normalise/kv"
	"github.com/meshtrail/meshtrail/internal/normalise/table"
)

// Slots of the proxy's log in JSON.
const (
	_ table.Slot = iota
	atStamp
	atTarget
	atMessage
	atSpans
	atThread
	atFields // the first of eventFields
)

// eventFields are the fields of an event that are known, in the order of slots.
var eventFields = [...]string{
	"server.kind", "server.name", "server", "route.group", "route.kind", "route.name", "authz.kind", "authz.name",
	"client.tls", "tls", "client.ip", "client", "client.addr", "path", "id", "error",
}

// Tables are the JSON layouts that are read by tables: tracing_subscriber's, with
// the fields of an event in fields and those of its spans in a list.
var Tables = []*table.Table{{
	Format: facts.Format{Name: ProxyJSON, Platform: "linkerd", Mesh: "linkerd", Kind: facts.App, Of: "Linkerd's proxy and its Rust programs of themselves, in JSON"},
	All:    [][]string{{"timestamp"}, {"level"}, {"target"}},
	Keys: func() map[string]table.Rule {
		m := map[string]table.Rule{
			"timestamp": table.Take(atStamp), "level": table.Severity(), "target": table.Text(field.LogLogger).At(atTarget),
			"fields.message": table.Message().At(atMessage), "message": table.Message().At(atMessage),
			"spans": table.Own().At(atSpans), "threadId": table.Take(atThread),
		}
		for i, name := range eventFields {
			m["fields."+name] = table.Own().At(atFields + table.Slot(i))
		}
		m["fields.error"] = table.Take(atFields + table.Slot(len(eventFields)-1)) // Finish writes it
		return m
	}(),
	Match:  func(s *table.Slots) bool { return bytes.HasPrefix(s.Text(atTarget), []byte("linkerd")) },
	Finish: finish,
}}

func finish(o *facts.Out, s *table.Slots) {
	if v := s.Text(atStamp); v != nil {
		ns, ok := facts.Time(v)
		switch {
		case ok && !o.Fixed:
			o.Time = ns
		case ok || uptime(v) == len(v):
			table.Keep(o, s.Member(atStamp))
		default:
			s.Leave(o, atStamp)
		}
	}
	if v, ok := bytes.CutPrefix(s.Text(atThread), []byte("ThreadId(")); ok {
		if n, ok := facts.Uint(bytes.TrimSuffix(v, []byte(")"))); ok {
			o.Int(field.ThreadID, n)
		}
	} else if s.Member(atThread) != nil {
		s.Leave(o, atThread)
	}
	var e event
	e.target, e.message = s.Text(atTarget), s.Text(atMessage)
	for i := range eventFields {
		if v := s.Text(atFields + table.Slot(i)); v != nil {
			e.set(eventKeys[i], v)
		}
	}
	e.list(s.Text(atSpans))
	e.write(o)
}

var eventKeys = func() (keys [len(eventFields)][]byte) {
	for i, name := range eventFields {
		keys[i] = []byte(name)
	}
	return keys
}()

// list reads the spans' list: flat objects of strings and numbers. A value that is
// none of these ends it.
func (e *event) list(b []byte) {
	for len(b) > 0 {
		start := bytes.IndexByte(b, '{')
		if start < 0 {
			return
		}
		object := b[start+1:]
		name := []byte(nil)
		members(object, func(key, v []byte) {
			if string(key) == "name" {
				name = v // the last one is the span's own: a field may be named so too
			}
		})
		if len(name) == 0 {
			return
		}
		e.span(name, nil)
		n := members(object, func(key, v []byte) {
			if len(v) == 0 || &v[0] != &name[0] {
				e.spanField(name, key, v)
			}
		})
		b = object[n:]
	}
}

// members calls each with the members of a flat object behind its brace, and
// returns how many bytes it has.
func members(b []byte, each func(key, v []byte)) int {
	for i := 0; i < len(b); {
		switch b[i] {
		case '}':
			return i + 1
		case '"':
		default:
			i++
			continue
		}
		n, _ := kv.Quote(b[i:])
		if n == 0 || i+n >= len(b) {
			return len(b)
		}
		key := b[i+1 : i+n-1]
		i += n
		for i < len(b) && (b[i] == ':' || b[i] == ' ') {
			i++
		}
		if i == len(b) {
			return i
		}
		if b[i] == '"' {
			if n, _ = kv.Quote(b[i:]); n == 0 {
				return len(b)
			}
			each(key, b[i+1:i+n-1])
			i += n
			continue
		}
		end := bytes.IndexAny(b[i:], ",}")
		if end < 0 {
			return len(b)
		}
		each(key, b[i:i+end])
		i += end
	}
	return len(b)
}
