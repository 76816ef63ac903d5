package spans

import (
	"strings"

	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/schema"
)

// names remembers the names of attributes, so that those of a span are told apart
// without comparing each with all others.
type names struct {
	m    map[string]*name
	head name
	span uint64  // numbers the spans, from 1
	list []*name // of the span's attributes
}

// A name is one of an attribute. text and own never change.
type name struct {
	text string
	own  bool // some spans have a field of this name themselves

	next *name  // the one that followed it last time
	seen uint64 // the last span that had it, and where
	at   int
}

// maxNames bounds the table, between two spans: a sender of ever new names costs
// allocations, not memory.
const maxNames = 8192

// begin makes ready for the next span, and reports whether the table starts anew:
// names that were found before are of no use then.
func (t *names) begin() (anew bool) {
	if anew = t.m == nil || len(t.m) > maxNames; anew {
		t.m, t.head = make(map[string]*name), name{}
	}
	t.span++
	clear(t.list)
	t.list = t.list[:0]
	return anew
}

// find returns the name. Senders write names in one order, so the one that
// followed prev last time is tried first.
func (t *names) find(prev *name, text string) *name {
	if n := prev.next; n != nil && n.text == text {
		return n
	}
	prev.next = t.get(text)
	return prev.next
}

func (t *names) get(text string) *name {
	n, ok := t.m[text]
	if !ok {
		text = strings.Clone(text) // it outlives the request
		n = &name{text: text, own: ownName(text) || text == schema.ScopeName || text == schema.ScopeVersion || text == schema.SpanPeer}
		t.m[text] = n
	}
	return n
}

// has reports whether the span has an attribute of this name.
func (t *names) has(n *name) bool { return n.seen == t.span }

// name finds the names of the span's attributes and of its resource's, and takes
// the value from every attribute whose name a later one repeats.
func (s *Span) name() {
	t := &s.table
	anew := t.begin()
	last := &t.head
	for i := range s.attrs {
		last = t.find(last, s.attrs[i].Name)
		if last.seen == t.span {
			s.attrs[last.at].Value = record.Value{}
		}
		last.seen, last.at = t.span, i
		t.list = append(t.list, last)
	}
	if anew || len(s.common) != len(s.resource) {
		s.common = s.common[:0]
		for i := range s.resource {
			s.common = append(s.common, t.get(s.resource[i].Name))
		}
	}
}
