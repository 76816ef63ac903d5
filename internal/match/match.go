// Package match is the closed predicate algebra of the house. Every language
// (LogQL, policy rules, access scopes, later Lucene and Sigma) compiles to it,
// and store, tail and policy evaluate it without knowing any language.
//
// A predicate speaks of fields by the name the asker used; schema.Resolve says
// which stored columns that name means and in which unit. A field that is
// absent has no value: every leaf predicate on it is false, so Not(Eq) is true.
package match

import (
	"net/netip"
)

// Line is the field name that stands for the record's line: its body, or its
// fields as JSON when it has none (record.Record.Line).
const Line = "__line__"

// A Predicate is one of the types of this package; the set is closed.
type Predicate interface {
	isPredicate()
	// String renders the predicate for explain output and errors. It is stable.
	String() string
}

type (
	// True holds for every record. A nil Predicate means True as well.
	True struct{}
	// False holds for none.
	False struct{}
	// And holds when all parts hold; an empty And holds.
	And []Predicate
	// Or holds when any part holds; an empty Or does not.
	Or []Predicate
	// Not holds when P does not.
	Not struct{ P Predicate }
	// Exists holds when the field is present with a non-empty text form.
	Exists struct{ Field string }
	// Eq holds when the field's text form equals Value.
	Eq struct{ Field, Value string }
	// In holds when the field's text form is one of Values.
	In struct {
		Field  string
		Values []string
	}
	// Prefix holds when the field's text form starts with Value.
	Prefix struct{ Field, Value string }
	// Contains holds when the field's text form contains Value; with Fold,
	// under Unicode simple case folding of ASCII letters.
	Contains struct {
		Field, Value string
		Fold         bool
	}
	// Word holds when the field's text form contains Value as whole token: not
	// preceded or followed by a letter, digit or underscore; with Fold, under
	// simple case folding of ASCII letters.
	Word struct {
		Field, Value string
		Fold         bool
	}
	// Regex holds when Re matches somewhere in the field's text form; anchors
	// are part of the expression.
	Regex struct {
		Field string
		Re    *Regexp
	}
	// Range holds when the field's numeric value lies between Min and Max.
	// A string value counts when it parses as a number, or as a duration or
	// size when Unit says so.
	Range struct {
		Field    string
		Min, Max Bound
		Unit     Unit
	}
	// CIDR holds when the field's text form is an IP address (a port after it
	// is ignored) within Net.
	CIDR struct {
		Field string
		Net   netip.Prefix
	}
)

// Unit is the unit of a Range's bounds.
type Unit uint8

// The units.
const (
	NoUnit   Unit = iota // the unit of the name the asker used
	Duration             // nanoseconds
	Bytes                // bytes
)

// A Bound is one end of a Range. The zero Bound is open: no limit.
type Bound struct {
	Set       bool
	Inclusive bool
	IsInt     bool // Int is exact; else use Float
	Int       int64
	Float     float64 // always filled
}

func (True) isPredicate()     {}
func (False) isPredicate()    {}
func (And) isPredicate()      {}
func (Or) isPredicate()       {}
func (Not) isPredicate()      {}
func (Exists) isPredicate()   {}
func (Eq) isPredicate()       {}
func (In) isPredicate()       {}
func (Prefix) isPredicate()   {}
func (Contains) isPredicate() {}
func (Word) isPredicate()     {}
func (Regex) isPredicate()    {}
func (Range) isPredicate()    {}
func (CIDR) isPredicate()     {}
