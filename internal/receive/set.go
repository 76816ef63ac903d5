package receive

import (
	"sync"

	"github.com/meshtrail/meshtrail/internal/record"
)

// A Set collects the raw records of one request. Its memory is used again by
// later requests: nothing in it may be kept after Release.
type Set struct {
	Raws []record.Raw
	// Rejected counts what the receiver itself refused, by reason.
	Rejected []record.Count
	// First is the detail of the first refusal of the receiver.
	First string
	// Kind is the record.kind of all records, for receivers of what is no log
	// record: pipeline.Request.Kind.
	Kind string

	// Once says that two requests of one sender with the same bytes cannot be but one
	// that was sent again, because what they hold has been given its time, or its
	// identity, by a source fine enough: then the content is the request's identity.
	// A decoder sets it.
	Once bool
	// Key is what KeyID makes the identity of the request of, where its protocol
	// numbers requests in its own way: nil if this one has no number. The parts live
	// as long as the body. A decoder sets it.
	Key [][]byte

	fields []record.Field
	text   []byte
	start  int // of the open record's fields
}

var sets = sync.Pool{New: func() any { return new(Set) }}

// Bounds of what a released Set keeps for the next request.
const (
	keepRaws = 1 << 16
	keepText = 4 << 20
)

// maxFields bounds the fields of one request: 56 bytes each, where two bytes of
// protobuf can make one.
const maxFields = 1 << 21

// NewSet returns an empty Set.
func NewSet() *Set { return sets.Get().(*Set) }

// Release empties the Set and gives its memory back.
func (s *Set) Release() {
	if cap(s.Raws) > keepRaws || cap(s.fields) > 4*keepRaws || cap(s.text) > keepText {
		return
	}
	clear(s.Raws[:cap(s.Raws)][:len(s.Raws)])
	clear(s.fields)
	s.Raws, s.Rejected, s.First, s.Kind, s.Once, s.Key = s.Raws[:0], s.Rejected[:0], "", "", false, nil
	s.fields, s.text, s.start = s.fields[:0], s.text[:0], 0
	sets.Put(s)
}

// Reject counts n records that the receiver refused.
func (s *Set) Reject(reason, detail string, n uint64) {
	if s.First == "" {
		s.First = detail
	}
	for i := range s.Rejected {
		if s.Rejected[i].Name == reason {
			s.Rejected[i].N += n
			return
		}
	}
	s.Rejected = append(s.Rejected, record.Count{Name: reason, N: n})
}

// RejectedTotal returns how many records the receiver refused.
func (s *Set) RejectedTotal() (n uint64) {
	for _, c := range s.Rejected {
		n += c.N
	}
	return n
}

// Open starts the fields of a record (or of what several records share).
func (s *Set) Open() { s.start = len(s.fields) }

// Field adds a string field to what is open. Name and value may alias the body.
func (s *Set) Field(name, value string) {
	s.fields = append(s.fields, record.Field{})
	f := &s.fields[len(s.fields)-1] // written in place: a copy of all its parts costs as much again
	f.Name, f.Value.Kind, f.Value.Str = name, record.String, value
}

// Value adds a typed field to what is open.
func (s *Set) Value(name string, v record.Value) {
	s.fields = append(s.fields, record.Field{Name: name, Value: v})
}

// Add adds a field to what is open.
func (s *Set) Add(f *record.Field) { s.fields = append(s.fields, *f) }

// Fields adds many fields to what is open.
func (s *Set) Fields(fs []record.Field) { s.fields = append(s.fields, fs...) }

// Pending returns how many fields are open.
func (s *Set) Pending() int { return len(s.fields) - s.start }

// Opened returns the fields that are open. They may be moved by what is added next.
func (s *Set) Opened() []record.Field { return s.fields[s.start:] }

// Close ends what is open and returns its fields. They stay as they are until
// Release, whatever is added later.
func (s *Set) Close() []record.Field {
	fs := s.fields[s.start:len(s.fields):len(s.fields)]
	s.start = len(s.fields)
	return fs
}

// Undo forgets what is open.
func (s *Set) Undo() { s.fields = s.fields[:s.start] }

// Text returns an empty slice with room for need bytes, for text that the body
// does not hold as it is. The caller appends to it and gives it back with Keep.
func (s *Set) Text(need int) []byte {
	if cap(s.text)-len(s.text) < need {
		s.text = make([]byte, 0, max(64<<10, 2*cap(s.text), need)) // older slices keep the old memory
	}
	return s.text[len(s.text):]
}

// Keep takes what was appended to Text and returns it; it lives as long as the
// Set. Nothing may be appended between the two but to that slice.
func (s *Set) Keep(b []byte) []byte {
	if n := len(s.text); len(b) <= cap(s.text)-n {
		s.text = s.text[:n+len(b)]
	} // else b outgrew its room and lives by itself
	return b[:len(b):len(b)]
}

// Full reports whether the request holds more fields than may be in memory.
func (s *Set) Full() bool { return len(s.fields) > maxFields }

// Total returns how many records the request held.
func (s *Set) Total() int { return len(s.Raws) + int(s.RejectedTotal()) }
