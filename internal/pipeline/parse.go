package pipeline

import (
	"bufio"
	"cmp"
	"errors"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/normalise"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/schema"
)

// The longest record that Parse reads, the default limit of one, and the longest
// line: that of a container of many.
const (
	maxParseRecord = 1 << 20
	maxParseLine   = 16 << 20
)

// ParseOptions say how lines are read. The zero ParseOptions tells platforms by
// shape.
type ParseOptions struct {
	Platform string   // declared; "" is told by shape
	Formats  *Formats // of an operator; nil is none
	// Now is when lines were received whose times name no year; zero is the clock's.
	Now time.Time
}

// Parse writes what intake would make of each line: one JSON object a record,
// with its own time as "timestamp" when it has one, its fields by schema names,
// parse.format and parse.status. Nothing is stored and no policy is applied.
// Empty lines are skipped; a line that is a container of records (normalise.Split)
// becomes each of them. A record that is too long becomes an object that says so.
// Errors are those of the reader and the writer, or fault.Invalid for an unknown
// platform.
func Parse(lines io.Reader, opt ParseOptions, w io.Writer) error {
	out, dst := bufio.NewWriter(w), []byte(nil)
	err := read(lines, opt, func(r *record.Record, _ bool) error {
		dst = append(appendShown(dst[:0], r), '\n')
		_, err := out.Write(dst)
		return err
	})
	if err != nil {
		return err
	}
	return out.Flush()
}

// read calls each with what intake would make of every line, as Parse shows it;
// refused says that the record would be a dead letter. The record is valid during
// the call. Errors are those of Parse, and of each.
func read(lines io.Reader, opt ParseOptions, each func(r *record.Record, refused bool) error) error {
	if !normalise.Known(opt.Platform) {
		return fault.WithHint(fault.Errorf(fault.Invalid, "unknown platform %q", opt.Platform), "known are "+strings.Join(normalise.Platforms(), ", "))
	}
	in := bufio.NewReaderSize(lines, maxParseLine)
	p := parser{norm: normalise.NewWith(opt.Formats), each: each, opt: normalise.Options{Platform: opt.Platform}}
	if !opt.Now.IsZero() {
		p.opt.Clock = opt.Now.UnixNano()
	}
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
		if len(line) > 0 {
			if perr := p.line(line, long); perr != nil {
				return perr
			}
		}
		if err != nil {
			return nil
		}
	}
}

// A parser is the scratch of one read.
type parser struct {
	opt   normalise.Options
	norm  *normalise.Normaliser
	each  func(r *record.Record, refused bool) error
	batch record.Batch
	parts []record.Raw
}

// line reads the records of a line; long says that it is not the whole line.
func (p *parser) line(line []byte, long bool) error {
	whole := record.Raw{Payload: line}
	if p.parts = p.parts[:0]; !long {
		p.parts = normalise.Split(p.parts, &whole)
	}
	if len(p.parts) == 0 {
		return p.record(&whole)
	}
	for i := range p.parts {
		if err := p.record(&p.parts[i]); err != nil {
			return err
		}
	}
	return nil
}

func (p *parser) record(raw *record.Raw) error {
	b := &p.batch
	b.Reset()
	why := &normalise.Refusal{Reason: "too_large"}
	if len(raw.Payload) <= maxParseRecord {
		err := p.norm.Append(b, raw, &p.opt)
		if err == nil {
			r := b.Record(0)
			return p.each(&r, false)
		}
		if !errors.As(err, &why) {
			return err
		}
		b.Reset()
	}
	b.Begin(0, "")
	b.Str("deadletter.reason", why.Reason)
	b.Str("parse.format", "none")
	b.Str("parse.status", "none")
	b.End()
	r := b.Record(0)
	return p.each(&r, true)
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
