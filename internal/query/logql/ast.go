// Package logql reads the query language LogQL: text to syntax tree and back.
//
// It knows the grammar and nothing of records: what a query means is package
// plan's. Parse(q).String() is a fixed point of Parse, and every error names the
// line and column where the query stops making sense. The language, and where it
// differs from Loki's, is written down in spec/query.md.
//
// The package keeps nothing of the query's text beyond the tree it returns, and
// survives any input: depth, terms and length are bounded.
package logql

// An Expr is a log query (*Log) or a metric query (any other type of this
// package that implements it). The set is closed.
type Expr interface {
	isExpr()
	// String renders the expression so that it parses to the same tree.
	String() string
	// Pos is the byte offset in the query where the expression starts.
	Pos() int
}

// A Log selects records: {a="b"} |= "text" | status >= 500.
type Log struct {
	At       int
	Matchers []Matcher
	Stages   []Stage
}

// Op is a comparison as it is written.
type Op string

// The comparisons.
const (
	OpEq       Op = "="
	OpNotEq    Op = "!="
	OpRegex    Op = "=~"
	OpNotRegex Op = "!~"
	OpGt       Op = ">"
	OpGe       Op = ">="
	OpLt       Op = "<"
	OpLe       Op = "<="
	OpHas      Op = "|="
	OpHasRegex Op = "|~"
)

// A Matcher compares the text of a field; an absent field has the text "".
type Matcher struct {
	At    int
	Name  string
	Op    Op // OpEq, OpNotEq, OpRegex, OpNotRegex
	Value string
}

// A Stage is one step of a pipeline: LineFilter, LabelFilter or Parser.
type Stage interface {
	isStage()
	String() string
}

// A LineFilter holds when the line contains (or matches) any of Values, or with
// a negative Op none of them.
type LineFilter struct {
	At     int
	Op     Op // OpHas, OpNotEq, OpHasRegex, OpNotRegex
	Values []string
}

// A Parser is | json or | logfmt. Fields are parsed at intake, so it changes
// nothing; it is kept so that queries written for Loki work as they are.
type Parser struct {
	At   int
	Name string
}

// A LabelFilter is a stage that compares fields.
type LabelFilter struct{ Cond Cond }

// A Cond is one of *TextCond, *NumberCond, *IPCond, All, Any.
type Cond interface {
	isCond()
	String() string
}

type (
	// TextCond compares a field's text.
	TextCond struct{ Matcher }
	// NumberCond compares a field's number. OpEq is written == or =.
	NumberCond struct {
		At    int
		Name  string
		Op    Op
		Value Quantity
	}
	// IPCond holds when the field's address is in (or with OpNotEq not in) Net.
	IPCond struct {
		At   int
		Name string
		Op   Op // OpEq, OpNotEq
		Net  string
	}
	// All holds when every part holds. No part is an All; it has two or more.
	All []Cond
	// Any holds when a part holds. No part is an Any; it has two or more.
	Any []Cond
)

// Unit of a Quantity.
type Unit uint8

// The units.
const (
	Plain    Unit = iota // a bare number, in Num
	Duration             // nanoseconds, in Int
	Bytes                // bytes, in Int
)

// A Quantity is a number with or without a unit, and how it was written.
type Quantity struct {
	Text string
	Unit Unit
	Num  float64
	Int  int64
}

type (
	// A RangeAgg counts over a window before each point:
	// rate({a="b"}[5m] offset 1h).
	RangeAgg struct {
		At     int
		Op     string // count_over_time, rate, bytes_over_time, bytes_rate
		Log    *Log
		Range  int64 // ns, > 0
		Offset int64 // ns, may be negative
	}
	// A VectorAgg combines series: sum by (a) (X), topk(5, X).
	VectorAgg struct {
		At       int
		Op       string // sum, count, min, max, avg, topk, bottomk
		Param    int64  // of topk and bottomk
		Grouping *Grouping
		X        Expr
	}
	// A Vector is one series without labels: vector(2).
	Vector struct {
		At    int
		Value float64
	}
	// A Number is a scalar.
	Number struct {
		At    int
		Value float64
	}
	// A Binary joins two expressions.
	Binary struct {
		At       int
		Op       string // + - * / % ^ == != > >= < <= and or unless
		Bool     bool   // comparisons give 0 or 1 instead of filtering
		Matching *Matching
		L, R     Expr
	}
)

// Grouping names the labels to keep, or with Without to drop.
type Grouping struct {
	Without bool
	Names   []string
}

// Matching names the labels that decide which series of two sides meet.
type Matching struct {
	On    bool // else ignoring
	Names []string
}

func (*Log) isExpr()       {}
func (*RangeAgg) isExpr()  {}
func (*VectorAgg) isExpr() {}
func (*Vector) isExpr()    {}
func (*Number) isExpr()    {}
func (*Binary) isExpr()    {}

// Pos returns the byte offset of the expression.
func (e *Log) Pos() int { return e.At }

// Pos returns the byte offset of the expression.
func (e *RangeAgg) Pos() int { return e.At }

// Pos returns the byte offset of the expression.
func (e *VectorAgg) Pos() int { return e.At }

// Pos returns the byte offset of the expression.
func (e *Vector) Pos() int { return e.At }

// Pos returns the byte offset of the expression.
func (e *Number) Pos() int { return e.At }

// Pos returns the byte offset of the expression.
func (e *Binary) Pos() int { return e.At }

func (*LineFilter) isStage()  {}
func (*LabelFilter) isStage() {}
func (*Parser) isStage()      {}

func (*TextCond) isCond()   {}
func (*NumberCond) isCond() {}
func (*IPCond) isCond()     {}
func (All) isCond()         {}
func (Any) isCond()         {}

func isRangeOp(s string) bool {
	switch s {
	case "count_over_time", "rate", "bytes_over_time", "bytes_rate":
		return true
	}
	return false
}

func isVectorOp(s string) bool {
	switch s {
	case "sum", "count", "min", "max", "avg", "topk", "bottomk":
		return true
	}
	return false
}

// IsComparison reports whether a Binary's operator compares.
func IsComparison(op string) bool {
	switch op {
	case "==", "!=", ">", ">=", "<", "<=":
		return true
	}
	return false
}

// IsSet reports whether a Binary's operator is and, or, unless.
func IsSet(op string) bool { return op == "and" || op == "or" || op == "unless" }

// Walk calls f for e and every expression in it, outermost first.
func Walk(e Expr, f func(Expr)) {
	f(e)
	switch e := e.(type) {
	case *RangeAgg:
		Walk(e.Log, f)
	case *VectorAgg:
		Walk(e.X, f)
	case *Binary:
		Walk(e.L, f)
		Walk(e.R, f)
	}
}
