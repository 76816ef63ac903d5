package native

import (
	"github.com/parquet-go/parquet-go"

	words "github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/store"
)

// parquetFile writes Apache Parquet, compressed with zstd: times as timestamps in
// nanoseconds, UTC, ord as an unsigned integer, and every field as an optional
// column of its own type, or as text when its values differ in type. The manifest
// is in the metadata under meshtrail.manifest. Memory is bounded by row groups.
type parquetFile struct {
	out     *sealed
	columns *columns
	file    *parquet.GenericWriter[any]
	at      []int // of each column, its place in the schema, which sorts by name
	values  []words.Value
	batch   []parquet.Row // written together; its rows are of one array
	filled  int           // of the batch
	rows    int           // of the row group
	bytes   int
}

// A row group ends with either of these.
const (
	groupRows  = 64 << 10
	groupBytes = 32 << 20
)

// batchRows are handed to the library at once: it works column by column.
const batchRows = 256

// manifestKey is the key of the manifest in a file's metadata.
const manifestKey = "meshtrail.manifest"

func (f *parquetFile) begin(fields []store.FieldInfo) error {
	f.columns.choose(fields)
	group := parquet.Group{}
	for i := range f.columns.list {
		group[f.columns.list[i].name] = f.columns.list[i].node()
	}
	schema := parquet.NewSchema("records", group)
	for _, name := range f.columns.names() {
		leaf, _ := schema.Lookup(name)
		f.at = append(f.at, leaf.ColumnIndex)
	}
	f.values = make([]words.Value, len(f.columns.list))
	n := len(f.columns.list)
	all := make(parquet.Row, n*batchRows)
	for i := range batchRows {
		f.batch = append(f.batch, all[i*n:(i+1)*n:(i+1)*n])
	}
	f.file = parquet.NewGenericWriter[any](f.out, schema, parquet.Compression(&parquet.Zstd), parquet.CreatedBy("meshtrail", "1", ""))
	return nil
}

func (c *column) node() parquet.Node {
	if c.meta() {
		switch c.name {
		case timeColumn, ingestColumn:
			return parquet.Timestamp(parquet.Nanosecond)
		case ordColumn:
			return parquet.Uint(64)
		case classColumn:
			return parquet.Encoded(parquet.String(), &parquet.RLEDictionary)
		}
	}
	switch c.kind {
	case words.Int:
		return parquet.Optional(parquet.Int(64))
	case words.Float:
		return parquet.Optional(parquet.Leaf(parquet.DoubleType))
	case words.Bool:
		return parquet.Optional(parquet.Leaf(parquet.BooleanType))
	}
	return parquet.Optional(parquet.String())
}

func (f *parquetFile) records(rs []words.Record) error {
	for i := range rs {
		r := &rs[i]
		f.columns.fill(r, f.values, true)
		row := f.batch[f.filled]
		for k := range f.columns.list {
			row[f.at[k]] = f.value(&f.columns.list[k], r, &f.values[k]).Level(0, f.defined(k), f.at[k])
		}
		f.rows++
		full := f.rows >= groupRows || f.bytes >= groupBytes
		if f.filled++; f.filled < batchRows && !full {
			continue
		}
		if err := f.write(); err != nil {
			return err
		}
		if full {
			f.rows, f.bytes = 0, 0
			if err := f.file.Flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (f *parquetFile) write() error {
	_, err := f.file.WriteRows(f.batch[:f.filled])
	f.filled = 0
	return err
}

// defined is the definition level of a value: 1 of an optional one that is there.
func (f *parquetFile) defined(k int) int {
	if f.values[k].Kind != 0 {
		return 1
	}
	return 0
}

func (f *parquetFile) value(c *column, r *words.Record, v *words.Value) parquet.Value {
	if v.Kind == 0 {
		if !c.meta() {
			return parquet.NullValue()
		}
		switch c.name {
		case timeColumn:
			return parquet.Int64Value(r.Time)
		case ingestColumn:
			return parquet.Int64Value(r.Ingest)
		case ordColumn:
			return parquet.Int64Value(int64(r.Ord))
		}
		return parquet.ByteArrayValue([]byte(r.Class))
	}
	f.bytes += 8
	switch c.kind {
	case words.Int:
		return parquet.Int64Value(v.Int)
	case words.Float:
		return parquet.DoubleValue(v.Flt)
	case words.Bool:
		return parquet.BooleanValue(v.Int != 0)
	}
	s := v.Text()
	f.bytes += len(s)
	return parquet.ByteArrayValue([]byte(s))
}

func (f *parquetFile) end(m *ExportManifest) error {
	m.Columns = f.columns.names()
	if err := f.write(); err != nil {
		return err
	}
	f.file.SetKeyValueMetadata(manifestKey, string(appendJSON(nil, m)))
	if err := f.file.Close(); err != nil {
		return err
	}
	return f.out.seal(m)
}
