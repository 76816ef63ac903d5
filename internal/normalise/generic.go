package normalise

import (
	"bytes"

	"github.com/meshtrail/meshtrail/internal/normalise/facts"
	"github.com/meshtrail/meshtrail/internal/normalise/jsonscan"
	"github.com/meshtrail/meshtrail/internal/record"
)

// generic writes an object that no parser knows: every member under its own
// name, but for the message, which is the body, and the time.
func (n *Normaliser) generic(o *jsonscan.Object, platform string) {
	n.out.Format, n.out.Status = "json", facts.OK
	if platform != "" {
		n.out.Partial() // declared to be a platform's, and is not
	}
	body := best(o, bodyLane, isString)
	when := best(o, timeLane, hasTime)
	for i := range o.Members {
		if i != body && i != when {
			n.member(&o.Members[i])
		}
	}
	if body >= 0 {
		n.message(o, body, when, platform)
	}
	if when < 0 {
		return
	}
	m := &o.Members[when]
	if n.out.Fixed || n.out.Time != 0 {
		n.member(m)
		return
	}
	n.out.Time, _ = timeOf(m)
}

// message writes a member that holds the message. If it is itself a record of a
// known shape, that one is written instead, with o as its envelope.
func (n *Normaliser) message(o *jsonscan.Object, body, when int, platform string) {
	text := o.Members[body].Text
	if o == &n.inner || len(text) < 2 {
		n.out.Str(record.Body, text)
		return
	}
	status := n.out.Status
	w := unwrap(text)
	inner := bytes.TrimRight(w.rest, "\r\n")
	if len(inner) > 1 && inner[0] == '{' && n.inner.Scan(inner, n.names) == nil {
		n.envelop(o, body, when)
		if w.prefixed {
			n.out.Str(record.Body, text)
		}
		n.object(&n.inner, platform)
		return
	}
	taken := n.out.Attrs
	n.envelop(o, body, when)
	if n.platformText(inner, platform) {
		text = bytes.TrimRight(text, "\r\n")
	} else {
		n.out.Format, n.out.Status = "json", status
	}
	n.out.Attrs = taken // an envelope has no second body
	n.out.Str(record.Body, text)
}

// envelop makes the names of o's members taken, so that the record within it
// overwrites none of them.
func (n *Normaliser) envelop(o *jsonscan.Object, body, when int) {
	n.attrs = append(n.attrs[:0], n.out.Attrs...)
	for i := range o.Members {
		if i != body && i != when {
			n.attrs = append(n.attrs, record.Field{Name: o.Members[i].Name.Text})
		}
	}
	n.out.Attrs = n.attrs
}

// member writes a member under its own name.
func (n *Normaliser) member(m *jsonscan.Member) {
	name := m.Name.Text
	if m.Name.Mark&(meshName|reserved|stream) != 0 {
		switch {
		case m.Name.Mark&meshName != 0 && m.Kind == jsonscan.String:
			n.out.Mesh = true
		case m.Name.Mark&stream != 0 && (string(m.Text) == "stdout" || string(m.Text) == "stderr"):
			name = "log.iostream"
		}
	}
	if m.Name.Mark&reserved != 0 || len(n.out.Attrs) > 0 {
		name = n.out.Own(name)
	}
	Put(n.out.B, name, m)
}

// Put writes a member's value under a name.
func Put(b *record.Batch, name string, m *jsonscan.Member) {
	switch m.Kind {
	case jsonscan.Int:
		b.Int(name, m.Int)
	case jsonscan.Float:
		b.Float(name, m.Float)
	case jsonscan.Bool:
		b.Bool(name, m.Int != 0)
	default:
		b.StrBytes(name, m.Text)
	}
}

// best returns the index of the usable member with the lowest rank in a lane of
// its name's mark, or -1.
func best(o *jsonscan.Object, lane uint, usable func(*jsonscan.Member) bool) int {
	if o.Marks>>lane&0xff == 0 {
		return -1
	}
	found, lowest := -1, uint64(255)
	for i := range o.Members {
		m := &o.Members[i]
		if r := m.Name.Mark >> lane & 0xff; r > 0 && r < lowest && usable(m) {
			found, lowest = i, r
		}
	}
	return found
}

func isString(m *jsonscan.Member) bool { return m.Kind == jsonscan.String }

func hasTime(m *jsonscan.Member) bool {
	_, ok := timeOf(m)
	return ok
}

func timeOf(m *jsonscan.Member) (int64, bool) {
	switch m.Kind {
	case jsonscan.String:
		return facts.Time(m.Text)
	case jsonscan.Int:
		return facts.Epoch(m.Int)
	case jsonscan.Float:
		return facts.EpochFloat(m.Float)
	}
	return 0, false
}
