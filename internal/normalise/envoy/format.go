package envoy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/normalise/facts"
	"github.com/meshtrail/meshtrail/internal/normalise/jsonscan"
)

// Limits of a format.
const (
	MaxFormat    = 16 << 10 // bytes
	MaxOperators = 128      // in one text, and names in one JSON format
	maxTries     = 4096     // places that one line is cut at
)

// A Format is an access log format, compiled: Envoy's text_format, a string of
// %COMMAND(ARGUMENT):LENGTH% operators, or its json_format, an object of such
// strings. It is immutable and safe for concurrent use.
type Format struct {
	Name     string // of the layout: parse.format of its records
	Platform string // whose proxy writes it: one of Family
	text     *pattern
	json     map[string]*pattern // by flattened name; nil for a text format
	used     int                 // names of json that hold operators
}

// A pattern is one compiled string of text and operators.
type pattern struct {
	head   string // before the first operator
	pieces []piece
}

// A piece is an operator and the text behind it.
type piece struct {
	op  operator
	lit string // "" for the last one only
}

// span is where a value stands in a line.
type span struct{ from, to int32 }

// CompileText compiles a text format. A line break at its end, which ends each
// record, is no part of it. Errors are of kind fault.Invalid and name the column,
// from 1, of what is wrong. A text that is a JSON object is compiled as one.
func CompileText(format string) (*Format, error) {
	format = strings.TrimRight(format, "\r\n")
	if f := strings.TrimSpace(format); len(f) > 1 && f[0] == '{' && json.Valid([]byte(unquoted(f))) {
		return CompileJSON([]byte(unquoted(f)))
	}
	p, err := compile(format)
	if err != nil {
		return nil, err
	}
	if len(p.pieces) == 0 {
		return nil, fault.WithHint(fault.Errorf(fault.Invalid, "column 1: no operator"), "operators are written %LIKE_THIS%")
	}
	strict := false
	for i := range p.pieces {
		strict = strict || p.pieces[i].op.key != None
	}
	if !strict {
		return nil, fault.Errorf(fault.Invalid, "column 1: no operator that has a field: every line would match")
	}
	return &Format{text: p}, nil
}

// unquoted puts quotes around operators that stand where JSON wants a value, as
// they do in a text format that prints JSON: "duration": %DURATION%.
func unquoted(s string) string {
	var b strings.Builder
	quoted := false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && quoted && i+1 < len(s):
			b.WriteByte(c)
			i++
		case c == '"':
			quoted = !quoted
		case c == '%' && !quoted:
			if n := commandEnd(s[i:]); n > 0 {
				b.WriteByte('"')
				b.WriteString(s[i : i+n])
				b.WriteByte('"')
				i += n - 1
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// CompileJSON compiles a JSON format: an object whose values are strings with
// operators, objects of them, or lists.
func CompileJSON(format []byte) (*Format, error) {
	if len(format) > MaxFormat {
		return nil, fault.Errorf(fault.Invalid, "column %d: a format may have %d bytes", MaxFormat, MaxFormat)
	}
	var tree map[string]any
	d := json.NewDecoder(bytes.NewReader(format))
	if err := d.Decode(&tree); err != nil {
		return nil, fault.Errorf(fault.Invalid, "column %d: %w", d.InputOffset()+1, err)
	}
	return CompileTree(tree)
}

// CompileTree is CompileJSON for an object that was decoded already. Errors name
// the member, and the column within its string.
func CompileTree(tree map[string]any) (*Format, error) {
	f := &Format{json: map[string]*pattern{}}
	if err := f.tree("", tree, 0); err != nil {
		return nil, err
	}
	if f.used == 0 {
		return nil, fault.WithHint(fault.Errorf(fault.Invalid, "no operator in any value"), `values look like "%RESPONSE_CODE%"`)
	}
	return f, nil
}

func (f *Format) tree(path string, tree map[string]any, depth int) error {
	if depth > 8 {
		return fault.Errorf(fault.Invalid, "%s: nested deeper than 8", path)
	}
	for name, v := range tree {
		full := name
		if path != "" {
			full = path + "." + name
		}
		if len(f.json) >= MaxOperators {
			return fault.Errorf(fault.Invalid, "%s: more than %d names", full, MaxOperators)
		}
		switch v := v.(type) {
		case map[string]any:
			if err := f.tree(full, v, depth+1); err != nil {
				return err
			}
		case string:
			p, err := compile(v)
			if err != nil {
				return fault.WithHint(fault.Errorf(fault.Invalid, "%s: %w", full, err), fault.HintOf(err))
			}
			if f.json[full] = p; len(p.pieces) > 0 {
				f.used++
			}
		default: // numbers, booleans and lists are printed as they are
			f.json[full] = &pattern{}
		}
	}
	return nil
}

// compile compiles one string.
func compile(s string) (*pattern, error) {
	if len(s) > MaxFormat {
		return nil, fault.Errorf(fault.Invalid, "column %d: a format may have %d bytes", MaxFormat, MaxFormat)
	}
	p, lit := &pattern{}, []byte(nil)
	flush := func() {
		if n := len(p.pieces); n > 0 {
			p.pieces[n-1].lit = string(lit)
		} else {
			p.head = string(lit)
		}
		lit = lit[:0]
	}
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\n' || s[i] == '\r':
			return nil, fault.WithHint(fault.Errorf(fault.Invalid, "column %d: a line break within the format", i+1), "a record is one line; a break at the end is allowed")
		case s[i] != '%':
			lit = append(lit, s[i])
			continue
		case i+1 < len(s) && s[i+1] == '%':
			lit = append(lit, '%')
			i++
			continue
		}
		n := commandEnd(s[i:])
		if n == 0 {
			return nil, fault.WithHint(fault.Errorf(fault.Invalid, "column %d: no operator, %s", i+1, about(s[i:])), "an operator is %NAME%, %NAME(ARGUMENT)% or %NAME(ARGUMENT):LENGTH%; a percent sign is %%")
		}
		op, err := commandOf(s[i+1 : i+n-1])
		if err != nil {
			return nil, fault.WithHint(fault.Errorf(fault.Invalid, "column %d: %w", i+1, err), fault.HintOf(err))
		}
		if k := len(p.pieces); k > 0 && len(lit) == 0 {
			return nil, fault.WithHint(fault.Errorf(fault.Invalid, "column %d: two operators with nothing between them cannot be told apart", i+1), "put a character between them, or use json_format")
		}
		if len(p.pieces) == MaxOperators {
			return nil, fault.Errorf(fault.Invalid, "column %d: more than %d operators", i+1, MaxOperators)
		}
		flush()
		p.pieces = append(p.pieces, piece{op: op})
		i += n - 1
	}
	flush()
	return p, nil
}

func about(s string) string {
	if len(s) > 24 {
		s = s[:24] + "…"
	}
	return fmt.Sprintf("%q", s)
}

// commandEnd returns the length of the operator that s begins with, 0 for none.
func commandEnd(s string) int {
	i := 1
	for i < len(s) && (s[i] >= 'A' && s[i] <= 'Z' || s[i] >= '0' && s[i] <= '9' || s[i] == '_') {
		i++
	}
	if i == 1 || i == len(s) {
		return 0
	}
	if s[i] != '(' {
		return lengthEnd(s, i)
	}
	for k := i; k < len(s); k++ { // an argument may hold parentheses
		if s[k] == ')' {
			if n := lengthEnd(s, k+1); n > 0 {
				return n
			}
		}
	}
	return 0
}

// lengthEnd reads [:DIGITS]% at i and returns where it ends, 0 when it is not there.
func lengthEnd(s string, i int) int {
	if i < len(s) && s[i] == ':' {
		k := i + 1
		for k < len(s) && s[k]-'0' < 10 {
			k++
		}
		if k == i+1 {
			return 0
		}
		i = k
	}
	if i < len(s) && s[i] == '%' {
		return i + 1
	}
	return 0
}

// commandOf reads NAME[(ARGUMENT)][:LENGTH]. A text that may be cut keeps its
// kind: what is cut of a word is a word.
func commandOf(s string) (operator, error) {
	i := strings.IndexByte(s, '(')
	if i < 0 {
		name, _, _ := strings.Cut(s, ":")
		return command(name, "")
	}
	return command(s[:i], s[i+1:strings.LastIndexByte(s, ')')])
}

// match cuts a line at the text between the operators, and reports whether it is
// of the pattern, and whether more than one way to cut it had to be allowed.
// at has room for every piece.
//
// Header values are not escaped, so the first way is searched in which every
// value is what its operator prints and only user agents and referers hold what
// stands behind them; only if there is none, any other value may.
func (p *pattern) match(line []byte, at []span) (matched, doubtful bool) {
	if !bytes.HasPrefix(line, []byte(p.head)) {
		return false, false
	}
	tries := maxTries
	if p.cut(line, len(p.head), 0, at, true, &tries) {
		return true, false
	}
	return p.cut(line, len(p.head), 0, at, false, &tries), true
}

func (p *pattern) cut(line []byte, from, i int, at []span, strict bool, tries *int) bool {
	if i == len(p.pieces) {
		return from == len(line)
	}
	pc := &p.pieces[i]
	for to := from; ; to++ {
		if *tries--; *tries < 0 {
			return false
		}
		if pc.lit == "" {
			to = len(line)
		} else if n := bytes.Index(line[to:], []byte(pc.lit)); n >= 0 {
			to += n
		} else {
			return false
		}
		fits, hopeless := pc.fits(line[from:to], strict)
		if fits {
			at[i] = span{int32(from), int32(to)}
			if p.cut(line, to+len(pc.lit), i+1, at, strict, tries) {
				return true
			}
		}
		if hopeless || pc.lit == "" {
			return false
		}
	}
}

// fits reports whether v can be the operator's value, and whether no longer one
// can be either.
func (pc *piece) fits(v []byte, strict bool) (fits, hopeless bool) {
	if facts.Absent(v) {
		return true, false
	}
	switch pc.op.text {
	case number_:
		for i, c := range v {
			if c-'0' > 9 && c != '.' && !(i == 0 && (c == '-' || c == '+')) {
				return false, true
			}
		}
		return true, false
	case word:
		if bytes.IndexByte(v, ' ') >= 0 || bytes.IndexByte(v, '"') >= 0 {
			return false, true
		}
		return true, false
	case stamp:
		ns, n := pc.op.clock.read(v)
		return n == len(v) && facts.Plausible(ns), len(v) > 128
	case free:
		if strict && pc.lit != "" && bytes.IndexByte(v, pc.lit[0]) >= 0 {
			return false, true
		}
	}
	return true, false
}

// Text reads a line of the format into the slots, and reports whether it is one,
// and whether there was one way only to read it.
func (f *Format) Text(a *Access, line []byte) (matched, whole bool) {
	if f.text == nil || !bytes.HasPrefix(line, []byte(f.text.head)) {
		return false, false
	}
	matched, doubtful := f.text.match(line, a.at[:])
	if !matched {
		return false, false
	}
	a.Reset()
	a.line, a.mesh = true, f.Platform
	return true, a.fill(f.text, line) && !doubtful
}

// fill puts the values of a cut line into the slots, and reports whether all of
// them can be read.
func (a *Access) fill(p *pattern, line []byte) (whole bool) {
	whole = true
	for i := range p.pieces {
		op, v := &p.pieces[i].op, line[a.at[i].from:a.at[i].to]
		switch {
		case op.key == None:
			a.own = append(a.own, ownField{op.own, v, op.unit})
		case a.slot[op.key] != nil: // the same operator twice: the first one stays
		case op.key == StartTime && !facts.Absent(v):
			ns, n := int64(0), 0
			if op.clock != nil {
				ns, n = op.clock.read(v)
			} else {
				ns, n = facts.Stamp(v)
			}
			if a.put(StartTime, v); n == len(v) {
				a.started = ns
			} else {
				a.started, whole = 0, false
			}
		default:
			a.put(op.key, v)
		}
	}
	return whole
}

// Write writes a line that Text read, or an object that Object read.
func (f *Format) Write(a *Access, o *facts.Out) {
	a.Write(o, f.Platform)
	o.Format = f.Name
}

// JSON reports whether the format is of JSON objects.
func (f *Format) JSON() bool { return f.json != nil }

// A Member is what a JSON format says of a member.
type Member struct {
	op *operator // that is all of it, and has a key
	p  *pattern  // text with operators in it
}

// Members returns what the format says of the members of an object, and whether
// the object can be of the format: it has no name that the format does not, and at
// least half of the format's operators. What an operator prints may itself be an
// object.
func (f *Format) Members(o *jsonscan.Object) (list []Member, ok bool) {
	found := 0
	for _, name := range o.Nulls {
		p, direct := f.json[name.Text]
		if !direct {
			return nil, false
		}
		if len(p.pieces) > 0 {
			found++
		}
	}
	for i := range o.Members {
		p, direct := f.json[o.Members[i].Name.Text]
		if !direct && !f.within(o.Members[i].Name.Text) {
			return nil, false
		}
		m := Member{}
		if direct && len(p.pieces) > 0 {
			found++
			if one := &p.pieces[0]; len(p.pieces) > 1 || p.head != "" || one.lit != "" {
				m.p = p
			} else if one.op.key != None {
				m.op = &one.op
			}
		}
		list = append(list, m)
	}
	return list, 2*found >= f.used && found > 0
}

// within reports whether a name is part of an object that an operator prints.
func (f *Format) within(name string) bool {
	for i := strings.LastIndexByte(name, '.'); i > 0; i = strings.LastIndexByte(name[:i], '.') {
		if p, ok := f.json[name[:i]]; ok && len(p.pieces) == 1 {
			return true
		}
	}
	return false
}

// Begin empties the slots for an object of the format.
func (f *Format) Begin(a *Access) {
	a.Reset()
	a.mesh = f.Platform
}

// Set puts a member into the slots, and reports false when it is an ordinary one
// that stays under its own name.
func (m *Member) Set(a *Access, v *jsonscan.Member) bool {
	switch {
	case m.op != nil && m.op.clock != nil:
		ns, n := m.op.clock.read(v.Text)
		if v.Kind == jsonscan.Bool || n != len(v.Text) || a.slot[StartTime] != nil {
			return false
		}
		a.text[StartTime] = *v
		a.slot[StartTime], a.started = &a.text[StartTime], ns
		return true
	case m.op != nil:
		return a.Set(m.op.key, v)
	case m.p != nil && v.Kind == jsonscan.String:
		if matched, _ := m.p.match(v.Text, a.at[:]); matched {
			n := len(a.own)
			a.fill(m.p, v.Text)
			a.own = a.own[:n] // the member stays as it is
		}
	}
	return false
}

// Null notes a member without a value.
func (f *Format) Null(a *Access, name string) {
	if p, ok := f.json[name]; ok && len(p.pieces) == 1 && p.pieces[0].op.key != None {
		a.Null(p.pieces[0].op.key)
	}
}

// builtins are text layouts of meshes that are read by their own formats. Each
// names its platform, so that no other may match.
var builtins = []*Format{
	builtin("kuma-text", "kuma", `[%START_TIME%] %RESPONSE_FLAGS% %KUMA_MESH% %KUMA_SOURCE_ADDRESS_WITHOUT_PORT%(%KUMA_SOURCE_SERVICE%)->%UPSTREAM_HOST%(%KUMA_DESTINATION_SERVICE%) took %DURATION%ms, sent %BYTES_SENT% bytes, received: %BYTES_RECEIVED% bytes`),
	builtin("kuma-text", "kuma", `[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" %BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%KUMA_SOURCE_ADDRESS_WITHOUT_PORT%" "%KUMA_DESTINATION_SERVICE%" "%UPSTREAM_CLUSTER%" "%UPSTREAM_HOST%" "%ROUTE_NAME%" %REQUESTED_SERVER_NAME% %KUMA_MESH%`),
}

func builtin(name, platform, format string) *Format {
	f, err := CompileText(format)
	if err != nil {
		panic(name + ": " + err.Error())
	}
	f.Name, f.Platform = name, platform
	return f
}

// builtin reads a line of a layout that is known by its format.
func (l *Line) builtin(line []byte, o *facts.Out) bool {
	if len(line) < 30 || line[0] != '[' || line[1] != '2' {
		return l.pairs(line, o)
	}
	for _, f := range builtins {
		if f.Platform == "kuma" && o.Declared != "" && o.Declared != "kuma" && Family(o.Declared) {
			continue
		}
		matched, whole := f.Text(&l.access, line)
		if !matched || !whole || l.access.started == 0 {
			continue
		}
		f.Write(&l.access, o)
		return true
	}
	return l.pairs(line, o)
}

// pairs reads [START] KEY=VALUE KEY=VALUE …, where every key is the JSON name of an
// operator: as the examples of several meshes' documentation write their own
// formats.
func (l *Line) pairs(line []byte, o *facts.Out) bool {
	end := bytes.IndexByte(line, ']')
	if end < 20 || end > 40 || end+2 >= len(line) || line[0] != '[' || line[end+1] != ' ' {
		return false
	}
	ns, n := facts.Stamp(line[1:end])
	if n != end-1 {
		return false
	}
	a := &l.access
	a.Reset()
	a.line = true
	a.put(StartTime, line[1:end])
	a.started = ns
	strong := 0
	for rest := line[end+2:]; len(rest) > 0; {
		var pair []byte
		pair, rest = facts.CutByte(rest, ' ')
		name, v, found := bytes.Cut(pair, []byte("="))
		k, known := keys[string(name)]
		if !found || !known || a.has(k) || bytes.IndexByte(v, '"') > 0 {
			return false
		}
		if k == BytesReceived || k == BytesSent || k.Strong() {
			strong++
		}
		a.put(k, bytes.Trim(v, `"`))
	}
	if strong < 2 || a.count < 4 {
		return false
	}
	declared := o.Declared
	if !Family(declared) {
		declared = ""
	}
	a.Write(o, declared)
	return true
}
