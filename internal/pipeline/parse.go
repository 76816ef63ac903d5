package pipeline

import (
	"bufio"
	"cmp"
	"errors"
	"io"
	"slices"
	"time"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/normalise"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/schema"
)

// maxParseLine is the longest line that Parse reads; the default limit of a
// record.
const maxParseLine = 1 << 20

// Parse writes what intake would make of each line: one JSON object a record,
// with its own time as "timestamp" when it has one, its fields by schema names,
// parse.format and parse.status. Nothing is stored and no policy is applied.
// Empty lines are skipped. A line that is too long becomes an object that says
// so. Errors are those of the reader and the writer, or fault.Invalid for an
// unknown platform.
func Parse(lines io.Reader, platform string, w io.Writer) error {
	if !normalise.Known(platform) {
		return fault.Errorf(fault.Invalid, "unknown platform %q", platform)
	}
	in, out := bufio.NewReaderSize(lines, maxParseLine), bufio.NewWriter(w)
	var (
		b    record.Batch
		dst  []byte
		norm = normalise.New()
	)
	for {
		line, err := in.ReadSlice('\n')
		long := errors.Is(err, bufio.ErrBufferFull)
		for err != nil && errors.Is(err, bufio.ErrBufferFull) {
			_, err = in.ReadSlice('\n')
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if n := len(line); n > 0 && line[n-1] == '\n' {
			line = line[:n-1]
		}
		if n := len(line); n > 0 && line[n-1] == '\r' {
			line = line[:n-1]
		}
		if len(line) > 0 || long {
			b.Reset()
			if long {
				b.Begin(0, "")
				b.Str("deadletter.reason", "too_large")
				b.Str("parse.format", "none")
				b.Str("parse.status", "none")
				b.End()
			} else if bad := norm.Append(&b, &record.Raw{Payload: line}, &normalise.Options{Platform: platform}); bad != nil {
				return bad
			}
			r := b.Record(0)
			dst = append(appendShown(dst[:0], &r), '\n')
			if _, werr := out.Write(dst); werr != nil {
				return werr
			}
		}
		if err != nil {
			return out.Flush()
		}
	}
}

// appendShown appends a record as one JSON object in the order of the schema.
func appendShown(dst []byte, r *record.Record) []byte {
	fields := slices.Clone(r.Fields)
	slices.SortStableFunc(fields, func(a, b record.Field) int {
		return cmp.Or(cmp.Compare(schema.Order(a.Name), schema.Order(b.Name)), cmp.Compare(a.Name, b.Name))
	})
	dst = append(dst, '{')
	if r.Time != 0 {
		dst = append(dst, `"timestamp":"`...)
		dst = time.Unix(0, r.Time).UTC().AppendFormat(dst, time.RFC3339Nano)
		dst = append(dst, `",`...)
	}
	for i := range fields {
		if i > 0 {
			dst = append(dst, ',')
		}
		one := match.AppendJSON(nil, fields[i:i+1]) // {"name":value}
		dst = append(dst, one[1:len(one)-1]...)
	}
	return append(dst, '}')
}
