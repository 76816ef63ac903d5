package filetail

import (
	"bytes"
	"unicode/utf8"

	"github.com/meshtrail/meshtrail/internal/receive"
	"github.com/meshtrail/meshtrail/internal/receive/jsontext"
	"github.com/meshtrail/meshtrail/internal/record"
)

// Fields beside the line.
const (
	fieldPath    = "log.file.path"
	fieldStream  = "log.iostream"
	fieldPartial = "log.partial" // true: this piece does not end its line
)

// The streams of a container.
const (
	noStream = iota
	stdout
	stderr
	streams
)

// labels are a file's fields, ready for each stream.
type labels [streams][]record.Field

// A parser turns a range of bytes of one file into raw records. Its result
// depends on nothing but the range, so that reading the same range again makes
// the same records.
type parser struct {
	format Format
	record int // longest payload
	set    *receive.Set
	labels *labels
	joins  [streams]join
	join   joiner
	at     int  // where the line begins that is read
	taken  int  // bytes up to here need nothing that comes later
	clean  int  // raws of them
	pieces int  // records with log.partial
	joined int  // records of several lines
	ended  bool // what was not taken is whole lines
}

// join is a line that its runtime split.
type join struct {
	text  []byte
	time  int64
	start int // of its first part
	open  bool
}

// parse appends the records of data and returns how many bytes they are made
// of. Without force it leaves alone what is not whole yet: a last line without
// its end, and a line that its runtime split and whose last part has not come.
// With force it takes all of data, the unfinished as pieces.
//
// A range that parse took without force gives the same records with force.
func (p *parser) parse(data []byte, force bool) (taken int) {
	p.taken, p.clean = 0, len(p.set.Raws)
	pos := 0
	for pos < len(data) {
		n := bytes.IndexByte(data[pos:], '\n')
		if n < 0 {
			break
		}
		p.at = pos
		p.line(data[pos : pos+n])
		pos += n + 1
		if !p.joining() && !p.join.grouping() {
			p.taken, p.clean = pos, len(p.set.Raws)
		}
	}
	tail := data[pos:]
	p.ended = len(tail) == 0 && !p.joining()
	if !p.joining() && (!p.join.holding() || len(tail) >= p.record) {
		p.endAll()
		p.taken, p.clean = pos, len(p.set.Raws)
	}
	for len(tail) >= p.record && !p.joining() {
		cut := runeCut(tail, p.record)
		p.piece(tail[:cut], 0, noStream)
		tail, pos = tail[cut:], pos+cut
		p.taken, p.clean = pos, len(p.set.Raws)
	}
	if force {
		p.endAll()
		if len(tail) > 0 { // as it is: a wrapper that was cut off tells nothing
			p.piece(tail, 0, noStream)
		}
		for s := range p.joins {
			p.flush(s, true)
		}
		p.endAll()
		return len(data)
	}
	p.set.Raws = p.set.Raws[:p.clean]
	for s := range p.joins {
		p.joins[s].open, p.joins[s].text = false, p.joins[s].text[:0]
	}
	p.join.drop()
	return p.taken
}

func (p *parser) joining() bool { return p.joins[0].open || p.joins[1].open || p.joins[2].open }

// line adds one line without its end.
func (p *parser) line(b []byte) {
	if p.format == CRI || p.format == Auto {
		if c, ok := parseCRI(b); ok {
			p.part(c)
			return
		}
	}
	if p.format == Docker || p.format == Auto {
		if c, ok := p.parseDocker(b); ok {
			p.part(c)
			return
		}
	}
	if n := len(b); n > 0 && b[n-1] == '\r' {
		b = b[:n-1]
	}
	if len(b) == 0 { // an empty line says nothing
		p.empty(noStream)
		return
	}
	p.add(b, 0, noStream, p.at)
}

// whole adds a line, in pieces if it is too long.
func (p *parser) whole(b []byte, at int64, stream int) {
	for len(b) > p.record {
		cut := runeCut(b, p.record)
		p.piece(b[:cut], at, stream)
		b = b[cut:]
	}
	p.set.Raws = append(p.set.Raws, record.Raw{Payload: b, Time: at, Attrs: p.labels[stream]})
}

// piece adds a part of a line that does not end it.
func (p *parser) piece(b []byte, at int64, stream int) {
	p.pieces++
	p.set.Open()
	p.set.Fields(p.labels[stream])
	p.set.Value(fieldPartial, record.BoolValue(true))
	p.set.Raws = append(p.set.Raws, record.Raw{Payload: b, Time: at, Attrs: p.set.Close()})
}

// runeCut returns n, or up to three less, so that no UTF-8 character is cut.
func runeCut(b []byte, n int) int {
	for i := n; i > n-utf8.UTFMax && i > 0 && i < len(b); i-- {
		if utf8.RuneStart(b[i]) {
			return i
		}
	}
	return n
}

// A wrapped line is what a container runtime wrote.
type wrapped struct {
	text    []byte
	time    int64
	stream  int
	partial bool
}

// part adds a wrapped line, or joins it with what came before.
func (p *parser) part(c wrapped) {
	j := &p.joins[c.stream]
	if !c.partial && !j.open {
		if len(c.text) > 0 {
			p.add(c.text, c.time, c.stream, p.at)
		} else {
			p.empty(c.stream)
		}
		return
	}
	if !j.open {
		p.before()
		j.open, j.time, j.start = true, c.time, p.at
	}
	j.text = append(j.text, c.text...)
	for len(j.text) > p.record {
		cut := runeCut(j.text, p.record)
		p.piece(p.set.Keep(append(p.set.Text(cut), j.text[:cut]...)), j.time, c.stream)
		j.text = j.text[:copy(j.text, j.text[cut:])]
	}
	if !c.partial {
		p.flush(c.stream, false)
	}
}

// flush ends a joined line.
func (p *parser) flush(stream int, partial bool) {
	j := &p.joins[stream]
	if !j.open {
		return
	}
	if len(j.text) > 0 {
		text := p.set.Keep(append(p.set.Text(len(j.text)), j.text...))
		if partial {
			p.piece(text, j.time, stream)
		} else {
			p.add(text, j.time, stream, j.start)
		}
	}
	j.open, j.text = false, j.text[:0]
}

func streamOf(b []byte) int {
	switch string(b) {
	case "stdout":
		return stdout
	case "stderr":
		return stderr
	}
	return noStream
}

// parseCRI reads "2016-10-06T00:17:09.669794202Z stdout F text"; the third word
// is a list of tags separated by colons, the first of them P or F.
func parseCRI(b []byte) (c wrapped, ok bool) {
	if len(b) < 20 || b[4] != '-' || b[10] != 'T' {
		return c, false
	}
	sp := bytes.IndexByte(b[:min(len(b), 40)], ' ')
	if sp < 0 || len(b) < sp+9 || b[sp+7] != ' ' {
		return c, false
	}
	if c.time, ok = parseTime(b[:sp]); !ok {
		return c, false
	}
	if c.stream = streamOf(b[sp+1 : sp+7]); c.stream == noStream {
		return c, false
	}
	tag := b[sp+8]
	rest := b[sp+9:]
	if len(rest) > 0 && rest[0] == ':' { // further tags
		n := bytes.IndexByte(rest, ' ')
		if n < 0 {
			n = len(rest)
		}
		rest = rest[n:]
	}
	if tag != 'F' && tag != 'P' {
		return c, false
	}
	if len(rest) > 0 {
		if rest[0] != ' ' {
			return c, false
		}
		rest = rest[1:]
	}
	c.text, c.partial = rest, tag == 'P'
	return c, true
}

// parseDocker reads {"log":"text\n","stream":"stdout","time":"…"}. A text that
// does not end in a newline is continued by the next line of its stream.
func (p *parser) parseDocker(b []byte) (c wrapped, ok bool) {
	if len(b) < 10 || b[0] != '{' {
		return c, false
	}
	if p.format == Auto && !bytes.HasPrefix(b, []byte(`{"log":"`)) {
		return c, false
	}
	j := jsontext.NewReader(b, 16, p.set)
	var at []byte
	text := false
	j.Begin('{')
	for {
		key, more := j.Field()
		if !more {
			break
		}
		switch string(key) {
		case "log":
			c.text, text = j.String(), true
		case "stream":
			c.stream = streamOf(j.String())
		case "time":
			at = j.String()
		default:
			j.Raw()
		}
	}
	j.End()
	if j.Err() != nil || !text || c.stream == noStream {
		return c, false
	}
	if c.time, ok = parseTime(at); !ok {
		return c, false
	}
	if n := len(c.text); n > 0 && c.text[n-1] == '\n' {
		c.text = c.text[:n-1]
	} else {
		c.partial = true
	}
	return c, true
}
