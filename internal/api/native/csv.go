package native

import (
	"strconv"
	"strings"

	words "github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/store"
)

// csvFile writes CSV as RFC 4180 has it, lines ending in CRLF, a header first. A
// text that a spreadsheet would compute, because it begins with = + - @, a tab or
// a carriage return, gets an apostrophe before it unless keep is set: what is in
// a log was often written by a stranger. The last line is "# manifest {…}", which
// is no record; manifest=trailer leaves it out.
type csvFile struct {
	out     *sealed
	columns *columns
	keep    bool
	values  []words.Value
}

func (f *csvFile) begin(fields []store.FieldInfo) error {
	f.columns.choose(fields)
	f.values = make([]words.Value, len(f.columns.list))
	for i, name := range f.columns.names() {
		f.separate(i)
		f.text(name)
	}
	f.out.buf = append(f.out.buf, "\r\n"...)
	return nil
}

func (f *csvFile) separate(i int) {
	if i > 0 {
		f.out.buf = append(f.out.buf, ',')
	}
}

func (f *csvFile) records(rs []words.Record) error {
	for i := range rs {
		r := &rs[i]
		f.columns.fill(r, f.values, false)
		for k := range f.columns.list {
			f.separate(k)
			f.cell(&f.columns.list[k], r, &f.values[k])
		}
		f.out.buf = append(f.out.buf, "\r\n"...)
		if err := f.out.write(false); err != nil {
			return err
		}
	}
	return nil
}

func (f *csvFile) cell(c *column, r *words.Record, v *words.Value) {
	if c.meta() {
		switch c.name {
		case timeColumn:
			f.out.buf = appendTime(f.out.buf, r.Time)
		case ingestColumn:
			f.out.buf = appendTime(f.out.buf, r.Ingest)
		case ordColumn:
			f.out.buf = strconv.AppendUint(f.out.buf, r.Ord, 10)
		case classColumn:
			f.text(string(r.Class))
		}
		return
	}
	if v.Kind == words.String {
		f.text(v.Str)
		return
	}
	f.out.buf = v.AppendText(f.out.buf)
}

// text writes a text, quoted if need be.
func (f *csvFile) text(s string) {
	formula := !f.keep && s != "" && strings.IndexByte("=+-@\t\r", s[0]) >= 0
	if !formula && !strings.ContainsAny(s, ",\"\r\n") && strings.TrimSpace(s) == s && !strings.HasPrefix(s, "#") {
		f.out.buf = append(f.out.buf, s...)
		return
	}
	f.out.buf = append(f.out.buf, '"')
	if formula {
		f.out.buf = append(f.out.buf, '\'')
	}
	for {
		i := strings.IndexByte(s, '"')
		if i < 0 {
			break
		}
		f.out.buf = append(append(f.out.buf, s[:i+1]...), '"')
		s = s[i+1:]
	}
	f.out.buf = append(append(f.out.buf, s...), '"')
}

func (f *csvFile) end(m *ExportManifest) error {
	m.Columns, m.Formulas = f.columns.names(), "escaped"
	if f.keep {
		m.Formulas = "kept"
	}
	if err := f.out.seal(m); err != nil {
		return err
	}
	if f.out.bare {
		return nil
	}
	f.out.buf = append(f.out.buf, "# manifest "...)
	f.out.buf = appendJSON(f.out.buf, m)
	f.out.buf = append(f.out.buf, "\r\n"...)
	return nil
}
