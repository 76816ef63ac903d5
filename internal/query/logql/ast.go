// Package logql reads the query language LogQL: text to syntax tree and back.
//
// It knows the grammar and nothing of records: what a query means is package
// plan's. Parse(q).String() is a fixed point of Parse, and so is Pretty, which
// prints for people. Every error names the line and column where the query stops
// making sense; Lint names what makes sense and was hardly meant. The language,
// and where it differs from Loki's, is written down in spec/query.md.
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
	OpPattern  Op = "|>"
	OpNotPat   Op = "!>"
)

// A Matcher compares the text of a field; an absent field has the text "".
type Matcher struct {
	At    int
	Name  string
	Op    Op // OpEq, OpNotEq, OpRegex, OpNotRegex
	Value string
}

// A Stage is one step of a pipeline: *LineFilter, *LabelFilter, *Parser,
// *LineFormat, *LabelFormat, *Decolorize, *Names, *Distinct. The set is closed.
type Stage interface {
	isStage()
	String() string
}

type (
	// A LineFilter holds when the line satisfies Op with any of Values, or with a
	// negative Op (OpNotEq, OpNotRegex, OpNotPat) with none of them.
	LineFilter struct {
		At     int
		Op     Op // OpHas, OpNotEq, OpHasRegex, OpNotRegex, OpPattern, OpNotPat
		Values []LineValue
	}
	// A LineValue is a text, an expression or a pattern, as the filter's Op says.
	// With IP set (OpHas, OpNotEq only) it is what stood in ip("…"): an address, a
	// network, or a range a-b, sought among the addresses in the line.
	LineValue struct {
		Text string
		IP   bool
	}
	// A Parser makes fields out of the line: json, logfmt, regexp, pattern, unpack.
	Parser struct {
		At   int
		Name string
		Expr string // of regexp and pattern
		// Fields, if there are any, are the only ones that json or logfmt makes.
		Fields    []Extraction
		Strict    bool // logfmt --strict
		KeepEmpty bool // logfmt --keep-empty
	}
	// An Extraction is name="path" of json, name="key" of logfmt.
	Extraction struct {
		At   int
		Name string
		Path string
	}
	// A LineFormat replaces the line by what Template, a Go text/template, makes.
	LineFormat struct {
		At       int
		Template string
	}
	// A LabelFormat sets fields: dst=src renames, dst="template" computes.
	LabelFormat struct {
		At   int
		Sets []LabelSet
	}
	// A LabelSet is one of these. Exactly one of From and Template means something.
	LabelSet struct {
		At       int
		Name     string
		From     string // rename this field
		Template string
		Rename   bool
	}
	// Decolorize takes ANSI colour sequences out of the line.
	Decolorize struct{ At int }
	// Names is | drop a, b="c" or | keep a, b=~"c".
	Names struct {
		At   int
		Keep bool
		// Items are names; one with an Op other than "" applies only to a field
		// of that name whose text the comparison holds for.
		Items []Matcher
	}
	// Distinct keeps the first record of each combination of values.
	Distinct struct {
		At    int
		Names []string
	}
)

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
	// A RangeAgg computes over a window before each point:
	// rate({a="b"}[5m] offset 1h), quantile_over_time(0.99, {…} | unwrap x [5m]) by (y).
	RangeAgg struct {
		At       int
		Op       string
		Param    float64 // of quantile_over_time
		Log      *Log
		Unwrap   *Unwrap // nil: records are counted
		Range    int64   // ns, > 0
		Offset   int64   // ns, may be negative
		Grouping *Grouping
	}
	// An Unwrap takes the samples from a field: | unwrap duration(latency) | x = "y".
	Unwrap struct {
		At   int
		Name string
		Conv string // "", duration, duration_seconds, bytes
		// Filters come after the unwrap; most often __error__="".
		Filters []Cond
	}
	// A VectorAgg combines series: sum by (a) (X), topk(5, X), sort(X).
	VectorAgg struct {
		At       int
		Op       string // sum count min max avg stddev stdvar topk bottomk approx_topk sort sort_desc
		Param    int64  // of topk, bottomk and approx_topk
		Grouping *Grouping
		X        Expr
	}
	// A LabelReplace is label_replace(X, dst, replacement, src, regex).
	LabelReplace struct {
		At          int
		X           Expr
		Dst         string
		Replacement string
		Src         string
		Regex       string
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
	// Many is the side that may have several series for one of the other:
	// "left" (group_left), "right" (group_right), or "" for one to one. Include
	// names labels of the one side that the result gets.
	Many    string
	Include []string
}

func (*Log) isExpr()          {}
func (*RangeAgg) isExpr()     {}
func (*VectorAgg) isExpr()    {}
func (*LabelReplace) isExpr() {}
func (*Vector) isExpr()       {}
func (*Number) isExpr()       {}
func (*Binary) isExpr()       {}

// Pos returns the byte offset of the expression.
func (e *Log) Pos() int { return e.At }

// Pos returns the byte offset of the expression.
func (e *RangeAgg) Pos() int { return e.At }

// Pos returns the byte offset of the expression.
func (e *VectorAgg) Pos() int { return e.At }

// Pos returns the byte offset of the expression.
func (e *LabelReplace) Pos() int { return e.At }

// Pos returns the byte offset of the expression.
func (e *Vector) Pos() int { return e.At }

// Pos returns the byte offset of the expression.
func (e *Number) Pos() int { return e.At }

// Pos returns the byte offset of the expression.
func (e *Binary) Pos() int { return e.At }

func (*LineFilter) isStage()  {}
func (*LabelFilter) isStage() {}
func (*Parser) isStage()      {}
func (*LineFormat) isStage()  {}
func (*LabelFormat) isStage() {}
func (*Decolorize) isStage()  {}
func (*Names) isStage()       {}
func (*Distinct) isStage()    {}

func (*TextCond) isCond()   {}
func (*NumberCond) isCond() {}
func (*IPCond) isCond()     {}
func (All) isCond()         {}
func (Any) isCond()         {}

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
	case *LabelReplace:
		Walk(e.X, f)
	case *Binary:
		Walk(e.L, f)
		Walk(e.R, f)
	}
}
