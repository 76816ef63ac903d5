package pipe

import (
	"regexp"
	"strconv"
	"strings"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/normalise/jsonscan"
	"github.com/meshtrail/meshtrail/internal/query/logql"
	"github.com/meshtrail/meshtrail/internal/record"
)

// Makes returns the names of the fields that a parser may make, or known unset
// when the line names them. Each may also be made with "_extracted" at its end.
func Makes(p *logql.Parser) (names []string, known bool) {
	switch p.Name {
	case "regexp":
		re, err := compileRegexp(p.Expr)
		if err != nil {
			return nil, false
		}
		for _, name := range re.SubexpNames() {
			if name != "" {
				names = append(names, name)
			}
		}
		return names, true
	case "pattern":
		for _, x := range pieces(p.Expr) {
			if x.capture && x.text != "_" {
				names = append(names, x.text)
			}
		}
		return names, true
	}
	for _, x := range p.Fields {
		names = append(names, x.Name)
	}
	return names, len(names) > 0
}

// scan reads a line that is one JSON object. The object is lent until the next
// scan.
func (r *Run) scan(line string) (*jsonscan.Object, error) {
	if r.names == nil {
		r.names = jsonscan.NewNames(nil)
	}
	r.buf = append(r.buf[:0], line...)
	return &r.object, r.object.Scan(r.buf, r.names)
}

// braced reports whether a line may be a JSON object.
func braced(line string) bool {
	line = strings.TrimLeft(line, " \t\r\n")
	return line != "" && line[0] == '{'
}

// statusName is the field that tells whether intake understood a record.
const statusName = "parse.status"

// notJSON leaves the error of a line that is no JSON object, unless intake
// understood the record all the same.
func (w *Row) notJSON(why string) {
	if v, ok := match.Value(statusName, w.rec); w.changed || ok && v.Text() == "none" {
		w.fail(ErrJSON, why)
	}
}

const expectObject = "the line is no JSON object"

// allJSON is json without parameters: every member of the line that is text,
// number or boolean.
type allJSON struct{}

func newJSON(p *logql.Parser) (stage, error) {
	if len(p.Fields) == 0 {
		return allJSON{}, nil
	}
	s := someJSON{}
	for _, x := range p.Fields {
		path, err := readPath(x.Path)
		if err != nil {
			return nil, err
		}
		s.refs = append(s.refs, newRef(x.Name))
		s.paths = append(s.paths, path)
	}
	return s, nil
}

func (allJSON) needs() needs { return needs{all: true, parses: true} }

func (allJSON) do(w *Row) bool {
	if !w.bodied() {
		return true
	}
	line := w.Line()
	if line == "" && !w.changed {
		return true
	}
	if !braced(line) {
		w.notJSON(expectObject)
		return true
	}
	o, err := w.run.scan(line)
	if err != nil {
		w.notJSON(err.Error())
		return true
	}
	from := len(w.made)
	for i := range o.Members {
		m := &o.Members[i]
		switch m.Kind {
		case jsonscan.JSON: // arrays are skipped
		case jsonscan.Bool:
			w.extract(w.run.ref(m.Name.Text), strconv.FormatBool(m.Int != 0), from)
		default:
			w.extract(w.run.ref(m.Name.Text), string(m.Text), from)
		}
	}
	return true
}

// someJSON is json with parameters.
type someJSON struct {
	refs  []*ref
	paths []jsonPath
}

func (someJSON) needs() needs { return needs{all: true} }

func (s someJSON) do(w *Row) bool {
	line, from := w.Line(), len(w.made)
	bad := expectObject
	if braced(line) {
		bad = ""
		if _, err := w.run.scan(line); err != nil {
			bad = err.Error()
		}
	}
	if bad != "" {
		w.notJSON(bad)
	}
	for i, path := range s.paths {
		value, ok := "", false
		if bad == "" && w.bodied() {
			value, ok = path.find(line)
		}
		if !ok && !w.changed { // intake flattened what it parsed
			value, ok = path.stored(w.rec)
		}
		if ok {
			w.extract(s.refs[i], value, from)
		}
	}
	return true
}

// unpack makes fields of the texts of a line that Promtail or Alloy packed, and
// the line of its _entry.
type unpack struct{}

// packedEntry is the member that holds the line.
const packedEntry = "_entry"

func (unpack) needs() needs { return needs{all: true} }

func (unpack) do(w *Row) bool {
	if !w.bodied() { // intake took it apart
		if v, ok := w.rec.Get(packedEntry); ok && v.Kind == record.String {
			w.setLine(v.Str)
		}
		return true
	}
	line := w.Line()
	if line == "" {
		return true
	}
	if !braced(line) {
		w.notJSON(expectObject)
		return true
	}
	o, err := w.run.scan(line)
	if err != nil {
		w.notJSON(err.Error())
		return true
	}
	entry := -1
	for i := range o.Members {
		if o.Members[i].Name.Text == packedEntry && o.Members[i].Kind == jsonscan.String {
			entry = i
		}
	}
	if entry < 0 {
		return true
	}
	from := len(w.made)
	for i := range o.Members {
		if m := &o.Members[i]; i != entry && m.Kind == jsonscan.String {
			w.extract(w.run.ref(m.Name.Text), string(m.Text), from)
		}
	}
	w.setLine(string(o.Members[entry].Text))
	return true
}

// regexpParser makes fields of named groups.
type regexpParser struct {
	re   *regexp.Regexp
	refs []*ref // by group; nil: none
}

func newRegexp(src string) (stage, error) {
	re, err := compileRegexp(src)
	if err != nil {
		return nil, err
	}
	s := regexpParser{re: re, refs: make([]*ref, re.NumSubexp()+1)}
	seen := map[string]bool{}
	for i, name := range re.SubexpNames() {
		if name == "" {
			continue
		}
		if seen[name] {
			return nil, fault.Errorf(fault.Invalid, "regular expression %q has two groups called %s", clip(src), name)
		}
		seen[name] = true
		s.refs[i] = newRef(name)
	}
	if len(seen) == 0 {
		return nil, fault.WithHint(fault.Errorf(fault.Invalid, "regular expression %q has no named group", clip(src)), "write (?P<name>…) where the value stands")
	}
	return s, nil
}

// compileRegexp is regexp.Compile within match's bounds.
func compileRegexp(src string) (*regexp.Regexp, error) {
	if _, err := match.CompileRegexp(src); err != nil {
		return nil, err
	}
	re, err := regexp.Compile(src)
	if err != nil {
		return nil, fault.Errorf(fault.Invalid, "regular expression %q: %w", clip(src), err)
	}
	return re, nil
}

func (regexpParser) needs() needs { return needs{all: true} }

func (s regexpParser) do(w *Row) bool {
	line, from := w.Line(), len(w.made)
	m := s.re.FindStringSubmatchIndex(line)
	for i, r := range s.refs {
		if r == nil || m == nil {
			continue
		}
		value := ""
		if m[2*i] >= 0 {
			value = line[m[2*i]:m[2*i+1]]
		}
		w.extract(r, value, from)
	}
	return true
}

// decolorize takes ANSI escape sequences out of the line.
type decolorize struct{}

// ansi is a control sequence (CSI), an operating system command (OSC) up to its
// end, or a two-byte escape (ECMA-48, 5.4 and 5.6).
var ansi = regexp.MustCompile(`(?:\x1b\[|\x{9b})[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[ -/]*[0-Z\\^-~]`)

func (decolorize) needs() needs { return needs{line: true} }

func (decolorize) do(w *Row) bool {
	line := w.Line()
	if strings.IndexByte(line, 0x1b) >= 0 || strings.Contains(line, "\u009b") {
		w.setLine(ansi.ReplaceAllLiteralString(line, ""))
	}
	return true
}
