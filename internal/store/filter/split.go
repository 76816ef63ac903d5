package filter

import (
	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/store/block"
)

// Splits is a Source that may have columns split into templates (block.Split).
type Splits interface {
	// Split returns a column that is split, without putting its values together,
	// or nil: then Load has it.
	Split(column int) (*block.Split, error)
}

// splitOf returns a column of s that is split, or nil, if l can be evaluated on
// templates: then most of its values need not be put together.
func (l *leaf) splitOf(s Source, column int) (*block.Split, error) {
	x, ok := s.(Splits)
	if !ok || len(l.patterns) == 0 && !l.filled || s.Columns()[column].Kind != record.String {
		return nil, nil
	}
	return x.Split(column)
}

// preparePatterns finds texts of which a matching value must have one, and where.
// Without them a leaf is not evaluated on templates.
func (l *leaf) preparePatterns() {
	add := func(text string, place block.Place) {
		l.patterns = append(l.patterns, block.NewPattern(text, place))
	}
	switch p := l.p.(type) {
	case match.Exists:
		l.filled = true
	case match.Eq:
		if p.Value != "" {
			add(p.Value, block.Whole)
		}
	case match.In:
		for _, text := range p.Values {
			if text == "" || len(p.Values) > maxPatterns {
				l.patterns = nil
				break
			}
			add(text, block.Whole)
		}
	case match.Prefix:
		if p.Value != "" {
			add(p.Value, block.Front)
		}
	case match.Contains:
		if p.Value != "" && !p.Fold {
			add(p.Value, block.Anywhere)
		}
	case match.Regex, match.Word:
		for _, text := range l.needles {
			add(text, block.Anywhere)
		}
	}
	switch l.p.(type) {
	case match.Eq, match.In, match.Prefix, match.Contains:
		l.holds = true
	}
}

// maxPatterns bounds the texts of which each is followed over every template.
const maxPatterns = 100

// can says for which values of template t the leaf holds.
func (l *leaf) can(s *block.Split, t int) (block.Can, error) {
	if l.filled {
		if s.Filled(t) {
			return block.Always, nil
		}
		return block.Maybe, nil
	}
	out := block.Never
	for _, p := range l.patterns {
		can, err := p.Match(s, t)
		switch {
		case err != nil:
			return block.Maybe, err
		case can == block.Always && l.holds:
			return can, nil
		case can != block.Never:
			out = block.Maybe
		}
	}
	return out, nil
}

// A picker has scratch memory for values of templates.
type picker struct {
	can   []block.Can
	table []bool   // by template: every value matches
	vals  []uint32 // picked: number among the values of their template
	rows  []uint32 // and row
	text  block.Renderer
}

// split sets in out the rows of want whose value in s the leaf holds for. Only
// values of templates that may match and need not are put together.
func (e *Evaluator) split(l *leaf, s *block.Split, want, out Bitmap) error {
	x := &e.pick
	x.table, x.can = x.table[:0], x.can[:0]
	always := false
	for t := range s.Templates() {
		can, err := l.can(s, t)
		if err != nil {
			return err
		}
		x.can = append(x.can, can)
		x.table = append(x.table, can == block.Always)
		always = always || can == block.Always
	}
	if always {
		e.coded(&block.Vector{Form: block.Dict, N: s.N, Rows: s.Rows, Codes: s.Temps}, x.table, want, out)
	}
	numbers := l.numbers(1)
	for t, can := range x.can {
		if can != block.Maybe {
			continue
		}
		if x.choose(s.RowsOf(t), want); len(x.vals) == 0 {
			continue
		}
		if err := x.text.Values(s, t, x.vals); err != nil {
			return err
		}
		v := block.Vector{Kind: record.String, N: len(x.vals), Rows: x.rows, Ends: x.text.Ends, Data: x.text.Data}
		e.strings(l, &v, &numbers, want, out)
	}
	return nil
}

// choose picks the values of want among those of a template. Every value is
// written, and some are written over: whether one is picked can not be foreseen.
func (x *picker) choose(rows []uint32, want Bitmap) {
	n := len(rows)
	if cap(x.vals) < n {
		x.vals, x.rows = make([]uint32, n), make([]uint32, n)
	}
	x.vals, x.rows = x.vals[:n], x.rows[:n]
	at := 0
	for i, row := range rows {
		x.vals[at], x.rows[at] = uint32(i), row
		at += int(want[row/64] >> (row % 64) & 1)
	}
	x.vals, x.rows = x.vals[:at], x.rows[:at]
}

// removeRows takes the rows that have a value out of set; nil stands for all.
func removeRows(set Bitmap, rows []uint32) {
	if rows == nil {
		clear(set)
		return
	}
	for _, r := range rows {
		set[r/64] &^= 1 << (r % 64)
	}
}
