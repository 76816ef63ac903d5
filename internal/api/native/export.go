package native

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/meshtrail/meshtrail/internal/access"
	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/httpd"
	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/query"
	words "github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/schema"
	"github.com/meshtrail/meshtrail/internal/store"
)

// ExportManifest closes an export: an export without it was cut short.
type ExportManifest struct {
	Format   string   `json:"format"`
	Query    string   `json:"query"`
	Language string   `json:"language"`
	From     string   `json:"from"` // RFC 3339
	To       string   `json:"to"`
	Columns  []string `json:"columns,omitempty"` // of CSV and Parquet
	// Formulas says that CSV cells which a spreadsheet would compute begin with an
	// apostrophe that is not of the record.
	Formulas  string   `json:"formulas,omitempty"` // escaped or kept
	Rows      int      `json:"rows"`
	Truncated bool     `json:"truncated"` // always false: an export has no limit
	Partial   bool     `json:"partial"`   // something could not be read: see Warnings
	Warnings  []string `json:"warnings,omitempty"`
	// Bytes and SHA256 are of all bytes before the manifest. The copy within a
	// Parquet file lacks them.
	Bytes  int64  `json:"bytes,omitempty"`
	SHA256 string `json:"sha256,omitempty"`
}

// manifestTrailer is the HTTP trailer that repeats rows, bytes, sha256,
// truncated and partial of the manifest.
const manifestTrailer = "Meshtrail-Manifest"

// A writer writes one format. What it is given is lent for the call.
type writer interface {
	// begin is told which fields are stored in the time range.
	begin(fields []store.FieldInfo) error
	records(rs []words.Record) error
	// end finishes the file, and writes the manifest into it.
	end(m *ExportManifest) error
}

// export answers with all records of a log query as a file.
func (a reading) export(w http.ResponseWriter, r *http.Request) error {
	scope, err := access.ReadScope(httpd.PrincipalFrom(r.Context()))
	if err != nil {
		return err
	}
	f := a.form(r)
	req := f.stream(store.Oldest, 0)
	out := &sealed{ctx: r.Context(), w: w, sum: sha256.New(), flush: http.NewResponseController(w), last: time.Now()}
	to, kind, err := f.writer(out, &req)
	switch s := r.Form.Get("manifest"); s {
	case "", "file":
	case "trailer":
		out.bare = true
	default:
		err = firstError(err, fault.Errorf(fault.Invalid, "parameter manifest: %q is not file or trailer", s))
	}
	if f.err != nil || err != nil {
		return firstError(f.err, err)
	}
	h := w.Header()
	out.begin = func() {
		h.Set("Content-Type", kind)
		h.Set("Trailer", manifestTrailer)
		h.Set("Content-Disposition", fmt.Sprintf("attachment; filename=%q", "records-"+time.Unix(0, req.From).UTC().Format("20060102T150405Z")+"."+req.Export))
	}
	req.Describe = to.begin
	sum, err := a.o.Engine.Stream(r.Context(), scope, req, to.records)
	if err != nil {
		return err
	}
	m := &ExportManifest{
		Format: req.Export, Query: req.Query, Language: req.Language.String(),
		From: string(appendTime(nil, req.From)), To: string(appendTime(nil, req.To)),
		Rows: sum.Rows, Partial: sum.Partial, Warnings: sum.Warnings,
	}
	if err := to.end(m); err != nil {
		return err
	}
	if err := out.write(true); err != nil {
		return err
	}
	h.Set(manifestTrailer, fmt.Sprintf(`{"rows":%d,"bytes":%d,"sha256":"%s","truncated":false,"partial":%t}`, m.Rows, m.Bytes, m.SHA256, m.Partial))
	return nil
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// writer returns what writes the asked format, and its content type.
func (f *form) writer(out *sealed, req *query.StreamRequest) (writer, string, error) {
	for i, name := range req.Fields {
		if req.Fields[i] = strings.TrimSpace(name); req.Fields[i] == "" {
			return nil, "", fault.Errorf(fault.Invalid, "parameter fields: a name is missing")
		}
	}
	if len(req.Fields) > maxColumns {
		return nil, "", fault.Errorf(fault.Invalid, "parameter fields: more than %d names", maxColumns)
	}
	for i, name := range req.Fields {
		if slices.Contains(req.Fields[:i], name) {
			return nil, "", fault.Errorf(fault.Invalid, "parameter fields: %s is named twice", name)
		}
	}
	c := &columns{asked: slices.Clone(req.Fields)}
	req.Export = f.r.Form.Get("format")
	if req.Export != "" && req.Export != "ndjson" && slices.Contains(req.Fields, lineColumn) {
		req.Fields = nil // a line may be made of all fields
	}
	switch req.Export {
	case "", "ndjson":
		req.Export = "ndjson"
		return &jsonFile{out: out}, "application/x-ndjson", nil
	case "csv":
		keep := false
		switch s := f.r.Form.Get("formulas"); s {
		case "", "escape":
		case "keep":
			keep = true
		default:
			return nil, "", fault.Errorf(fault.Invalid, "parameter formulas: %q is not escape or keep", s)
		}
		return &csvFile{out: out, columns: c, keep: keep}, "text/csv; charset=utf-8; header=present", nil
	case "parquet":
		return &parquetFile{out: out, columns: c}, "application/vnd.apache.parquet", nil
	}
	return nil, "", fault.Errorf(fault.Invalid, "parameter format: %q is not ndjson, csv or parquet", req.Export)
}

// sealed gathers what is written, hashes and counts it, and passes it on. The
// first write begins the answer.
type sealed struct {
	ctx   context.Context // of who reads
	w     http.ResponseWriter
	flush *http.ResponseController
	begin func()
	buf   []byte
	sum   hash.Hash
	n     int64
	bare  bool      // without the manifest as a last line
	last  time.Time // of the last flush
}

// Write implements io.Writer.
func (s *sealed) Write(p []byte) (int, error) {
	s.buf = append(s.buf, p...)
	return len(p), s.write(false)
}

// write passes on what is gathered when it is enough, or with all.
func (s *sealed) write(all bool) error {
	if !all && len(s.buf) < flushBytes && time.Since(s.last) < flushEvery {
		return nil
	}
	if err := s.ctx.Err(); err != nil { // a small answer waits in the server's buffer, whose writes succeed
		return fault.Wrap(fault.Canceled, err)
	}
	if s.begin != nil {
		s.begin()
		s.begin = nil
	}
	s.sum.Write(s.buf)
	s.n += int64(len(s.buf))
	_, err := s.w.Write(s.buf)
	s.buf = s.buf[:0]
	if err == nil && time.Since(s.last) >= flushEvery {
		s.last = time.Now()
		err = s.flush.Flush()
	}
	if err != nil {
		return fault.Errorf(fault.Canceled, "write export: %w", err)
	}
	return nil
}

// seal puts the number and hash of all bytes so far into the manifest.
func (s *sealed) seal(m *ExportManifest) error {
	err := s.write(true)
	m.Bytes, m.SHA256 = s.n, hex.EncodeToString(s.sum.Sum(nil))
	return err
}

// jsonFile writes NDJSON: one record a line as /api/v1/query does, and a last
// line {"manifest": …}.
type jsonFile struct {
	out *sealed
}

func (f *jsonFile) begin([]store.FieldInfo) error { return nil }

func (f *jsonFile) records(rs []words.Record) error {
	for i := range rs {
		f.out.buf = append(AppendRecord(f.out.buf, &rs[i]), '\n')
		if err := f.out.write(false); err != nil {
			return err
		}
	}
	return nil
}

func (f *jsonFile) end(m *ExportManifest) error {
	if err := f.out.seal(m); err != nil {
		return err
	}
	if f.out.bare {
		return nil
	}
	f.out.buf = append(f.out.buf, `{"manifest":`...)
	f.out.buf = appendJSON(f.out.buf, m)
	f.out.buf = append(f.out.buf, "}\n"...)
	return nil
}

// Names of columns that are no fields.
const (
	timeColumn   = "time"
	ingestColumn = "ingest"
	ordColumn    = "ord"
	classColumn  = "class"
	lineColumn   = "line"
	otherColumn  = "other"
)

// maxColumns bounds the columns of a file. Fields beyond it are in the column
// other, as JSON.
const maxColumns = 500

// columns are those of a CSV or Parquet file.
type columns struct {
	asked []string // nil: all that is stored
	list  []column
	index map[string]int // of stored fields, when all are written
	other int            // index of the column other, -1 without
}

type column struct {
	name string
	kind words.Kind         // of all its values, String if they differ; 0 of what is no field
	res  *schema.Resolution // of a field that was asked for
}

// meta reports whether a column is time, ingest, ord or class, which every record
// has and which are no fields.
func (c *column) meta() bool { return c.kind == 0 }

// choose makes the list out of what is stored.
func (c *columns) choose(fields []store.FieldInfo) {
	c.other = -1
	if c.asked != nil {
		for _, name := range c.asked {
			res := schema.Resolve(name)
			k := column{name: name, kind: words.String, res: &res}
			switch name {
			case timeColumn, ingestColumn, ordColumn, classColumn:
				k.res, k.kind = nil, 0
			case lineColumn:
				k.res = nil
			default:
				k.kind = kindOf(fields, func(stored string) bool { _, _, ok := res.Match(stored); return ok })
			}
			c.list = append(c.list, k)
		}
		return
	}
	for _, name := range []string{timeColumn, ingestColumn, ordColumn, classColumn} {
		c.list = append(c.list, column{name: name})
	}
	c.index = map[string]int{}
	for _, f := range fields {
		if _, known := c.index[f.Name]; known || len(c.list) == maxColumns-1 || len(f.Name) > 256 {
			continue
		}
		c.index[f.Name] = len(c.list)
		c.list = append(c.list, column{name: f.Name, kind: kindOf(fields, func(stored string) bool { return stored == f.Name })})
	}
	c.other = len(c.list)
	c.list = append(c.list, column{name: otherColumn, kind: words.String})
	c.rename()
}

// rename tells fields from the columns that are no fields.
func (c *columns) rename() {
	for i := 4; i < c.other; i++ {
		switch c.list[i].name {
		case timeColumn, ingestColumn, ordColumn, classColumn, lineColumn, otherColumn:
			c.list[i].name = "field." + c.list[i].name
		}
	}
}

// kindOf returns the kind of the stored fields that mean a column.
func kindOf(fields []store.FieldInfo, means func(stored string) bool) words.Kind {
	var kind words.Kind
	for _, f := range fields {
		switch {
		case !means(f.Name):
		case kind == 0:
			kind = f.Kind
		case kind != f.Kind:
			return words.String
		}
	}
	if kind == 0 {
		return words.String
	}
	return kind
}

func (c *columns) names() []string {
	out := make([]string, len(c.list))
	for i := range c.list {
		out[i] = c.list[i].name
	}
	return out
}

// fill puts the fields of a record in their columns: values[i] is absent where
// the record has none. Those without a column, or of another kind than a typed
// one has, go to other.
func (c *columns) fill(r *words.Record, values []words.Value, typed bool) {
	clear(values)
	if c.asked != nil {
		for i := range c.list {
			if res := c.list[i].res; res != nil {
				if v, _, ok := match.Lookup(res, r); ok && (!typed || c.list[i].kind == words.String || c.list[i].kind == v.Kind) {
					values[i] = v
				}
			} else if !c.list[i].meta() {
				values[i] = words.StringValue(string(match.AppendLine(nil, r)))
			}
		}
		return
	}
	var rest []words.Field
	for _, f := range r.Fields {
		if f.Name == words.Labels {
			continue
		}
		i, ok := c.index[f.Name]
		if !ok || values[i].Kind != 0 || typed && c.list[i].kind != words.String && c.list[i].kind != f.Value.Kind {
			rest = append(rest, f)
			continue
		}
		values[i] = f.Value
	}
	if rest != nil {
		values[c.other] = words.StringValue(string(match.AppendJSON(nil, rest)))
	}
}
