package normalise

import (
	"bytes"
	"math"

	"github.com/meshtrail/meshtrail/internal/normalise/facts"
	"github.com/meshtrail/meshtrail/internal/normalise/field"
	"github.com/meshtrail/meshtrail/internal/normalise/jsonscan"
	"github.com/meshtrail/meshtrail/internal/normalise/stack"
	"github.com/meshtrail/meshtrail/internal/record"
)

// generic writes an object that no parser knows: every member under its own
// name, but for the message, which is the body, and the time.
func (n *Normaliser) generic(o *jsonscan.Object, l *layout, platform string) {
	n.out.Format, n.out.Status = "json", facts.OK
	if platform != "" {
		n.out.PartialOf("platform") // declared to be a platform's, and is not
	}
	body := l.body(o)
	when, ns := l.time(o)
	if l.level >= 0 {
		if m := &o.Members[l.level]; m.Kind == jsonscan.String {
			n.out.SeverityNumber(m.Text)
		}
	}
	for i, op := range l.ops {
		switch {
		case i == body || i == when:
		case op.plain:
			n.plain(op.id, &o.Members[i])
		default:
			n.member(&o.Members[i])
		}
	}
	if body >= 0 {
		n.envelop(o, body, when)
		received := n.out.Now
		if when >= 0 {
			n.out.Now = ns // the year of a time in the message that names none
		}
		n.message(o, body, l.level < 0)
		n.out.Now = received
	}
	if when < 0 {
		return
	}
	if n.out.Fixed || n.out.Time != 0 {
		n.member(&o.Members[when])
		return
	}
	n.out.Time = ns
}

// message writes a member that holds the message. If it is itself a record of a
// known shape, that one is written instead, with o as its envelope: what envelop
// noted is taken. What any program may write is only looked for when o is no
// program's own record but one of who carried it (wrapped).
func (n *Normaliser) message(o *jsonscan.Object, body int, wrapped bool) {
	text := o.Members[body].Text
	if o == &n.inner || len(text) < 2 {
		n.out.Around = nil
		n.out.Str(field.Body, text)
		return
	}
	format, status := n.out.Format, n.out.Status
	w := unwrap(text)
	inner := bytes.TrimRight(w.rest, "\r\n")
	if len(inner) > 1 && inner[0] == '{' && n.inner.Scan(inner, n.names) == nil {
		if w.prefixed {
			n.out.Str(field.Body, text)
		}
		n.object(&n.inner, n.out.Declared)
		return
	}
	if n.lines.read(inner, &n.out) || n.syslogged(inner) || wrapped && n.anyText(inner, w.stamped, &n.out) {
		text = bytes.TrimRight(text, "\r\n")
	} else {
		n.out.Format, n.out.Status = format, status
	}
	if bytes.IndexByte(text, '\n') >= 0 {
		stack.Derive(text, &n.out)
	}
	n.out.Around = nil // an envelope has no second body
	n.out.Str(field.Body, text)
}

// envelop makes the names of o's members taken, so that the record within it
// overwrites none of them.
func (n *Normaliser) envelop(o *jsonscan.Object, body, when int) {
	n.around = n.around[:0]
	for i := range o.Members {
		if i != body && i != when {
			n.around = append(n.around, record.Field{Name: o.Members[i].Name.Text})
		}
	}
	n.out.Around = n.around
}

// plain writes a member whose name may stand as it is, if it is free.
func (n *Normaliser) plain(id int32, m *jsonscan.Member) {
	switch {
	case len(n.out.Around) > 0:
		n.member(m)
	case n.out.Attrs != nil && n.own.taken(n.out.Attrs, id, m):
		n.own.put(n.out.B, id, m, true)
	default:
		n.own.put(n.out.B, id, m, false)
	}
}

// member writes a member under its own name.
func (n *Normaliser) member(m *jsonscan.Member) {
	name := m.Name.Text
	switch {
	case m.Name.Mark&meshName != 0 && m.Kind == jsonscan.String:
		n.out.Mesh = true
	case m.Name.Mark&stream != 0 && (string(m.Text) == "stdout" || string(m.Text) == "stderr"):
		name = "log.iostream"
	}
	if m.Name.Mark&(reserved|stream) == 0 && len(n.out.Around) == 0 {
		n.plain(int32(m.Name.ID), m)
		return
	}
	if m.Name.Mark&reserved != 0 || !n.out.Bare() {
		name = n.out.Own(name)
	}
	if len(name) == len(m.Name.Text) && name == m.Name.Text {
		n.own.put(n.out.B, int32(m.Name.ID), m, false)
	} else {
		Put(n.out.B, name, m)
	}
}

// ownColumns remembers where members are kept that have no canonical name, by
// the ID of their name and by kind.
type ownColumns struct{ names []ownName }

type ownName struct {
	name  *jsonscan.Name // whose columns these are: IDs are given anew in another epoch
	cols  [kinds]*record.Column
	taken [kinds]*record.Column // of NAME_extracted
	attr  facts.Place
}

// kinds bounds jsonscan's kinds. JSON is kept as text.
const kinds = jsonscan.JSON

func (w *ownColumns) forget() { clear(w.names) }

var recordKinds = [kinds]record.Kind{jsonscan.String: record.String, jsonscan.Int: record.Int, jsonscan.Float: record.Float, jsonscan.Bool: record.Bool}

// of returns what is remembered of a member's name, whose ID is id.
func (w *ownColumns) of(id int32, m *jsonscan.Member) *ownName {
	if int(id) >= len(w.names) {
		w.names = append(w.names, make([]ownName, int(id)+64-len(w.names))...)
	}
	own := &w.names[id]
	if own.name != m.Name {
		*own = ownName{name: m.Name}
	}
	return own
}

// taken reports whether an attribute of the open record has a member's name,
// whose ID is id.
func (w *ownColumns) taken(attrs *facts.Attributes, id int32, m *jsonscan.Member) bool {
	return attrs.Holds(&w.of(id, m).attr, m.Name.Text)
}

// put writes a member's value under its name, whose ID is id, or if that is taken
// under NAME_extracted.
func (w *ownColumns) put(b *record.Batch, id int32, m *jsonscan.Member, taken bool) {
	k := m.Kind
	if k == jsonscan.JSON {
		k = jsonscan.String
	}
	own := w.of(id, m)
	c := own.cols[k]
	if taken {
		c = own.taken[k]
	}
	if c == nil {
		c = own.open(b, m.Name.Text, k, taken)
	}
	switch k {
	case jsonscan.String:
		b.PutBytes(c, m.Text)
	case jsonscan.Float:
		b.PutNum(c, math.Float64bits(m.Float))
	default:
		b.PutNum(c, uint64(m.Int))
	}
}

func (o *ownName) open(b *record.Batch, name string, k jsonscan.Kind, taken bool) *record.Column {
	if taken {
		o.taken[k] = b.Open(name+facts.Extracted, recordKinds[k])
		return o.taken[k]
	}
	o.cols[k] = b.Open(name, recordKinds[k])
	return o.cols[k]
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

func timeOf(m *jsonscan.Member) (int64, bool) {
	switch m.Kind {
	case jsonscan.String:
		return facts.Time(m.Text)
	case jsonscan.Int:
		return facts.Epoch(m.Int)
	case jsonscan.Float: // its digits say more than the nearest float
		if ns, ok := facts.Time(m.Text); ok {
			return ns, true
		}
		return facts.EpochFloat(m.Float)
	}
	return 0, false
}
