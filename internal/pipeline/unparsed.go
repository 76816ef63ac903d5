package pipeline

import (
	"cmp"
	"container/list"
	"slices"
	"strings"
	"sync"

	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/normalise"
	"github.com/meshtrail/meshtrail/internal/record"
)

// Bounds of an Unparsed: about 8 MiB when all of them are reached.
const (
	maxShapeSources = 256 // tenant and source
	maxShapes       = 32  // of a source
	maxShape        = 256 // bytes of a shape
	maxExample      = 512 // bytes of an example
	maxLooks        = 64  // records of one batch that are looked at
	maxNamed        = 512 // columns of a batch that are looked through for names
)

// A Shape is what unparsed records of one source look like.
type Shape struct {
	Source string
	Format string // parse.format
	Status string // parse.status: none, partial
	Error  string // parse.error, or ""
	// Shape is the text with its numbers, hexadecimal ids and quoted parts
	// collapsed; of JSON its names.
	Shape string
	// Count is about how many records had it, of which Over may be of other shapes.
	Count, Over uint64
	First, Last int64 // ns, when they came in
	// Example is one of them as policy left it, cut. Class is its class.
	Example string
	Class   record.Class
}

// Unparsed knows the most frequent shapes of records that no parser understood
// whole, since the process started: of the 256 sources that sent such last, 32
// each (space-saving: a new shape takes the place of the rarest one, and its
// count). Of a batch it looks at 64 such records at most, each of which stands
// for as many. It is safe for concurrent use.
type Unparsed struct {
	mu    sync.Mutex
	byKey map[shapeSource]*list.Element
	order list.List // of *shapesOf; front: sent longest ago
	text  []byte
	key   []byte
	names []string
	turn  int // batches looked at
}

type shapeSource struct {
	tenant record.TenantID
	source string
}

type shapesOf struct {
	shapeSource
	shapes map[string]*Shape
}

func newUnparsed() *Unparsed { return &Unparsed{byKey: map[shapeSource]*list.Element{}} }

// Unparsed returns the shapes of what this pipeline did not understand.
func (p *Pipeline) Unparsed() *Unparsed { return p.parsed.shapes }

// Shapes returns the shapes of a tenant's records, the most frequent first.
func (u *Unparsed) Shapes(tenant record.TenantID) []Shape {
	out := []Shape{}
	u.mu.Lock()
	for e := u.order.Front(); e != nil; e = e.Next() {
		if s := e.Value.(*shapesOf); s.tenant == tenant {
			for _, x := range s.shapes {
				out = append(out, *x)
			}
		}
	}
	u.mu.Unlock()
	slices.SortFunc(out, func(a, b Shape) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), strings.Compare(a.Source, b.Source), strings.Compare(a.Format, b.Format), strings.Compare(a.Shape, b.Shape))
	})
	return out
}

// look takes note of the odd records of a batch that were not understood whole.
func (u *Unparsed) look(b *record.Batch, format, status *record.Column, odd int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	s := u.of(shapeSource{b.Tenant, b.Source})
	look := looker{u: u, b: b, s: s, format: format, status: status}
	for _, c := range b.Columns() {
		if c.Kind == record.String && len(c.Rows) > 0 {
			switch c.Name {
			case record.Body:
				look.body = c
			case parseError:
				look.errors = c
			}
		}
	}
	step := (odd + maxLooks - 1) / maxLooks
	u.turn++
	first := u.turn % step // not always the same, or a rare shape is never met
	left := odd
	seen := 0
	for i := range b.Len() {
		if string(status.Bytes(i)) == "ok" {
			continue
		}
		if seen%step == first {
			n := step
			if seen+step >= odd { // the last one stands for all that are left
				n = left
			}
			look.at(i, uint64(n))
			left -= n
		}
		seen++
	}
}

// of returns the shapes of a source, which is made if it is new.
func (u *Unparsed) of(k shapeSource) *shapesOf {
	if e, ok := u.byKey[k]; ok {
		u.order.MoveToBack(e)
		return e.Value.(*shapesOf)
	}
	if len(u.byKey) >= maxShapeSources {
		first := u.order.Front()
		delete(u.byKey, first.Value.(*shapesOf).shapeSource)
		u.order.Remove(first)
	}
	k.source = strings.Clone(k.source)
	s := &shapesOf{shapeSource: k, shapes: map[string]*Shape{}}
	u.byKey[k] = u.order.PushBack(s)
	return s
}

// A looker looks at one batch.
type looker struct {
	u              *Unparsed
	b              *record.Batch
	s              *shapesOf
	format, status *record.Column
	body, errors   *record.Column // nil: no record has it
}

// at takes note of record i, which stands for n.
func (l *looker) at(i int, n uint64) {
	u, format, status := l.u, l.format.Bytes(i), l.status.Bytes(i)
	var why, body []byte
	if l.errors != nil {
		if k, ok := l.errors.Find(uint32(i)); ok {
			why = l.errors.Bytes(k)
		}
	}
	if l.body != nil {
		if k, ok := l.body.Find(uint32(i)); ok {
			body = l.body.Bytes(k)
		}
	}
	named := len(body) == 0 || normalise.JSON(string(format))
	if named {
		u.text = l.names(u.text[:0], i)
	} else {
		u.text = appendShape(u.text[:0], body)
	}
	u.key = append(u.key[:0], format...)
	for _, part := range [...][]byte{status, why, u.text} {
		u.key = append(append(u.key, 0), part...)
	}
	x := l.s.shapes[string(u.key)]
	if x == nil {
		x = l.s.add(string(u.key), &Shape{
			Source: l.s.source, Format: string(cut(format, maxShape)), Status: statusOf(status), Error: string(cut(why, maxShape)),
			Shape: string(u.text), First: l.b.Ingest, Class: l.b.ClassAt(i),
		})
		if named {
			r := l.b.Record(i)
			body = match.AppendJSON(nil, shown(r.Fields))
		}
		x.Example = string(cut(body, maxExample))
	}
	x.Count += n
	x.Last = max(x.Last, l.b.Ingest)
}

// add adds a shape; if there are too many it takes the place and the count of the
// rarest.
func (s *shapesOf) add(key string, x *Shape) *Shape {
	if len(s.shapes) >= maxShapes {
		var rarest string
		for k, y := range s.shapes {
			if r := s.shapes[rarest]; r == nil || y.Count < r.Count || y.Count == r.Count && y.Last < r.Last {
				rarest = k
			}
		}
		x.Count = s.shapes[rarest].Count
		x.Over = x.Count
		delete(s.shapes, rarest)
	}
	s.shapes[key] = x
	return x
}

// names appends the names of record i, without those that intake gives.
func (l *looker) names(dst []byte, i int) []byte {
	list := l.u.names[:0]
	for k, c := range l.b.Columns() {
		if k >= maxNamed || len(list) >= 64 {
			break
		}
		if _, ok := c.Find(uint32(i)); ok && !ofIntake(c.Name) {
			list = append(list, c.Name)
		}
	}
	l.u.names = list
	slices.Sort(list)
	for k, name := range list {
		if k > 0 {
			dst = append(dst, ", "...)
		}
		if dst = append(dst, name...); len(dst) > maxShape {
			break
		}
	}
	return cut(dst, maxShape)
}

func ofIntake(name string) bool {
	return strings.HasPrefix(name, "parse.") || name == "log.source" || name == record.Labels
}

// shown leaves out what intake gives each record.
func shown(fields []record.Field) []record.Field {
	return slices.DeleteFunc(fields, func(f record.Field) bool { return ofIntake(f.Name) })
}

// cut returns the first n bytes at most, without half a character at the end.
func cut(b []byte, n int) []byte {
	if len(b) <= n {
		return b
	}
	for n > 0 && b[n]&0xC0 == 0x80 {
		n--
	}
	return b[:n]
}

// appendShape appends the shape of a text: a quoted part becomes "…", a number or
// a hexadecimal id becomes 0, white space becomes one space. Of a long text it is
// that of the begin.
func appendShape(dst, text []byte) []byte {
	end, open := len(dst)+maxShape, 0
	for i := 0; i < len(text) && len(dst) < end; {
		c := text[i]
		switch {
		case c == '"' || c == '\'' && (i == 0 || !alnum(text[i-1])):
			n := 0
			if open < maxOpen {
				n = quoted(text[i:])
			}
			if n == 0 {
				dst, i, open = append(dst, c), i+1, open+1
				continue
			}
			dst, i = append(append(append(dst, c), "…"...), c), i+n
		case c <= ' ':
			if n := len(dst); n == 0 || dst[n-1] != ' ' {
				dst = append(dst, ' ')
			}
			i++
		case alnum(c):
			n := i
			for n < len(text) && alnum(text[n]) {
				n++
			}
			dst, i = appendWord(dst, text[i:n]), n
		default:
			dst, i = append(dst, c), i+1
		}
	}
	return cut(dst, end)
}

// maxOpen is how many quotes of a text are followed to its end in vain.
const maxOpen = 4

// quoted returns the length of the quoted part that text begins with, 0 when it
// does not end.
func quoted(text []byte) int {
	for i := 1; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case text[0]:
			return i + 1
		}
	}
	return 0
}

// appendWord appends letters and digits: whole ids and runs of digits as 0.
func appendWord(dst, word []byte) []byte {
	digits, hex := 0, 0
	for _, c := range word {
		if c >= '0' && c <= '9' {
			digits++
			hex++
		} else if c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F' {
			hex++
		}
	}
	if digits == 0 {
		return append(dst, word...)
	}
	if hex == len(word) && len(word) >= 8 || len(word) >= 20 {
		return append(dst, '0')
	}
	for i, c := range word {
		if c < '0' || c > '9' {
			dst = append(dst, c)
		} else if i == 0 || word[i-1] < '0' || word[i-1] > '9' {
			dst = append(dst, '0')
		}
	}
	return dst
}

func alnum(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}
