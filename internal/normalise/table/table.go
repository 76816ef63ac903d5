// Package table reads JSON of platforms by tables: which members of an object
// stand for which fields, in which unit.
//
// A platform declares a Table: the names by which its shape is known (All), and
// a Rule for each member that has a canonical field. What rules alone can not
// say is written by the Table's Finish, which reads members by the slots that
// rules gave them. A member without a rule stays under its own name, and so does
// one whose value is not of its rule's type: the record is then partial.
//
// Which table reads an object, and the rule of each of its members, is found out
// once for a shape (Index.Find). Per record there is no look-up of names and no
// allocation.
package table

import (
	"github.com/meshtrail/meshtrail/internal/normalise/facts"
	"github.com/meshtrail/meshtrail/internal/normalise/jsonscan"
)

// Limits of a Table.
const (
	maxGroups = 8
	MaxSlots  = 48 // of the members that Match and Finish read
	maxTables = 128
)

// A Slot names a member that Match and Finish read. 0 is none; a platform numbers
// its own from 1.
type Slot uint8

// A Table is one JSON layout of a platform.
type Table struct {
	Format facts.Format
	// All are the names by which a shape is known: it must have one name of each
	// group, null ones included. At least one group, at most eight. Names are
	// flattened with dots. A shape of few and common names needs a Match.
	All [][]string
	// None are names that the shape must not have.
	None []string
	// Keys are the rules, by flattened name.
	Keys map[string]Rule
	// Envelope says that a record within the message tells the time better than the
	// object around it, which keeps its own as a member too.
	Envelope bool
	// Match decides by values; nil accepts every object of the shape. It MUST write
	// nothing.
	Match func(s *Slots) bool
	// Finish writes what rules can not say, after all of them; nil is nothing.
	Finish func(o *facts.Out, s *Slots)
}

// Slots are the members of one object by the slots of its table.
type Slots struct {
	object  *jsonscan.Object
	members [MaxSlots]*jsonscan.Member
	scratch jsonscan.Object
	joined  []byte // by List
}

// Reset empties the slots for an object.
func (s *Slots) Reset(o *jsonscan.Object) {
	s.object = o
	s.members = [MaxSlots]*jsonscan.Member{}
}

// Set puts a member into a slot; the first one stays.
func (s *Slots) Set(at Slot, m *jsonscan.Member) {
	if s.members[at] == nil {
		s.members[at] = m
	}
}

// Member returns the member in a slot, nil when the object has none.
func (s *Slots) Member(at Slot) *jsonscan.Member { return s.members[at] }

// Members returns all members of the object. They belong to it.
func (s *Slots) Members() []jsonscan.Member { return s.object.Members }

// Text returns the text of a slot: a string's, a number's as it was written, an
// array's as JSON. nil when there is none, or it says that there is none.
func (s *Slots) Text(at Slot) []byte {
	m := s.members[at]
	if m == nil || facts.Absent(m.Text) {
		return nil
	}
	return m.Text
}

// Is reports whether a slot holds exactly this text.
func (s *Slots) Is(at Slot, text string) bool {
	m := s.members[at]
	return m != nil && string(m.Text) == text
}

// Int returns the whole number of a slot, written as a number or as a string.
func (s *Slots) Int(at Slot) (int64, bool) {
	m := s.members[at]
	if m == nil {
		return 0, false
	}
	return whole(m)
}

// Bool returns the boolean of a slot, written as one or as a string.
func (s *Slots) Bool(at Slot) (is, ok bool) {
	m := s.members[at]
	if m == nil {
		return false, false
	}
	return boolean(m)
}

// Elements calls each with the elements of the array in a slot, as
// jsonscan.Object.Elements does. The member is valid during the call only.
func (s *Slots) Elements(at Slot, each func(m *jsonscan.Member)) {
	if m := s.members[at]; m != nil && m.Kind == jsonscan.JSON {
		s.scratch.Elements(m.Text, each)
	}
}

// First returns the text of the first element of the array in a slot, or the text
// of the slot itself when it is a string.
func (s *Slots) First(at Slot) []byte {
	m := s.members[at]
	if m == nil {
		return nil
	}
	if m.Kind != jsonscan.JSON {
		return s.Text(at)
	}
	var first []byte
	s.scratch.Elements(m.Text, func(e *jsonscan.Member) {
		if first == nil {
			first = e.Text
		}
	})
	return first
}

// List returns the texts of the array in a slot, comma-separated, or the text of
// the slot itself when it is a string. It is valid until the next List.
func (s *Slots) List(at Slot) []byte {
	m := s.members[at]
	if m == nil || m.Kind != jsonscan.JSON {
		return s.Text(at)
	}
	s.joined = s.joined[:0]
	s.scratch.Elements(m.Text, func(e *jsonscan.Member) {
		if len(s.joined) > 0 {
			s.joined = append(s.joined, ',')
		}
		s.joined = append(s.joined, e.Text...)
	})
	return s.joined
}

// Count returns the number of elements, but nulls, of the array in a slot, 0 when
// it is none.
func (s *Slots) Count(at Slot) int {
	n := 0
	s.Elements(at, func(*jsonscan.Member) { n++ })
	return n
}

// Only returns the single element of the array in a slot, or the text of the slot
// when it is a string; nil when there are none or several.
func (s *Slots) Only(at Slot) []byte {
	if m := s.members[at]; m != nil && m.Kind == jsonscan.JSON && s.Count(at) != 1 {
		return nil
	}
	return s.First(at)
}

// Leave keeps a slot's member under its own name: Finish calls it for a member
// with the rule Take whose value it could not use.
func (s *Slots) Leave(o *facts.Out, at Slot) {
	if m := s.members[at]; m != nil {
		o.PartialOf(m.Name.Text)
		Keep(o, m)
	}
}

// Keep writes a member under its own name.
func Keep(o *facts.Out, m *jsonscan.Member) {
	name := o.Own(m.Name.Text)
	switch m.Kind {
	case jsonscan.Int:
		o.B.Int(name, m.Int)
	case jsonscan.Float:
		o.B.Float(name, m.Float)
	case jsonscan.Bool:
		o.B.Bool(name, m.Int != 0)
	default:
		o.B.StrBytes(name, m.Text)
	}
}
