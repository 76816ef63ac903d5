package nginx

import (
	"bytes"
	"strings"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/normalise/facts"
	"github.com/meshtrail/meshtrail/internal/normalise/jsonscan"
	"github.com/meshtrail/meshtrail/internal/normalise/table"
)

// Limits of a format.
const (
	MaxFormat    = 16 << 10 // bytes
	MaxVariables = 96       // in one text, and names in one format of JSON
	maxTries     = 4096     // places that one line is cut at
)

// A Format is a log_format of NGINX, compiled: text and $variables, or a JSON
// object of them (escape=json). It is immutable and safe for concurrent use.
type Format struct {
	Name   string // of the layout: parse.format of its records
	head   string // before the first variable
	pieces []piece
	json   map[string]*piece // by flattened name; nil for a text
}

// A piece is a variable and the text behind it.
type piece struct {
	name *jsonscan.Name // of the variable
	own  []byte         // the name that its text has when rule is nil
	rule *table.Rule
	text text
	lit  string // "" for the last one, and where the next begins with a slash
}

// text is what a variable may hold, so far as that tells where it ends.
type text uint8

const (
	free  text = iota // anything
	word              // neither space nor quote
	digit             // a decimal number
	list              // of upstreams: A, B : C
	clock             // 02/Jan/2006:15:04:05 -0700
)

// texts are the variables of which more is known than that they are free.
var texts = map[string]text{
	"remote_addr": word, "realip_remote_addr": word, "proxy_protocol_addr": word, "remote_port": digit, "server_addr": word, "server_port": digit,
	"time_local": clock, "time_iso8601": word, "msec": digit, "request_method": word, "scheme": word, "server_protocol": word, "host": word, "server_name": word, "hostname": word,
	"status": digit, "body_bytes_sent": digit, "bytes_sent": digit, "request_length": digit, "request_time": digit, "connection": digit, "connection_requests": digit, "pid": digit,
	"upstream_addr": list, "upstream_status": list, "upstream_response_time": list, "upstream_connect_time": list, "upstream_header_time": list,
	"upstream_response_length": list, "upstream_bytes_sent": list, "upstream_bytes_received": list, "upstream_cache_status": word, "proxy_upstream_name": word, "proxy_alternative_upstream_name": word,
	"ssl_protocol": word, "ssl_cipher": word, "ssl_server_name": word, "ssl_session_reused": word, "request_id": word, "req_id": word, "pipe": word, "gzip_ratio": word,
	"protocol": word, "bytes_received": digit, "session_time": digit,
}

// CompileFormat compiles a log_format: its text, or the whole directive as
// nginx.conf has it. Errors are of kind fault.Invalid and name the column of the
// text, from 1, of what is wrong.
func CompileFormat(format string) (*Format, error) {
	if len(format) > MaxFormat {
		return nil, fault.Errorf(fault.Invalid, "column %d: more than %d bytes", MaxFormat+1, MaxFormat)
	}
	format, err := directive(format)
	if err != nil {
		return nil, err
	}
	if f := strings.TrimSpace(format); len(f) > 1 && f[0] == '{' && f[len(f)-1] == '}' {
		if c, ok := compileJSON(f); ok {
			return c, nil
		}
	}
	f := &Format{}
	for at := 0; at < len(format); {
		i := strings.IndexByte(format[at:], '$')
		if i < 0 {
			i = len(format) - at
		}
		lit := format[at : at+i]
		if n := len(f.pieces); n == 0 {
			f.head += lit
		} else {
			f.pieces[n-1].lit += lit
		}
		if at += i; at == len(format) {
			break
		}
		name, n := variable(format[at:])
		if n == 0 {
			return nil, fault.WithHint(fault.Errorf(fault.Invalid, "column %d: no name behind $", at+1), "variables are written $name or ${name}")
		}
		if name == "uri" && strings.HasPrefix(format[at+n:], "$is_args$args") {
			name, n = "request_uri", n+len("$is_args$args")
		}
		if k := len(f.pieces); k > 0 && f.pieces[k-1].lit == "" && name != "request_uri" && name != "uri" {
			return nil, fault.WithHint(fault.Errorf(fault.Invalid, "column %d: nothing stands between $%s and $%s", at+1, f.pieces[k-1].name.Text, name), "where one ends can not be told: write a space between them")
		}
		if len(f.pieces) == MaxVariables {
			return nil, fault.Errorf(fault.Invalid, "column %d: more than %d variables", at+1, MaxVariables)
		}
		f.pieces = append(f.pieces, newPiece(name))
		at += n
	}
	if len(f.pieces) == 0 {
		return nil, fault.WithHint(fault.Errorf(fault.Invalid, "column 1: no variable"), "variables are written $name or ${name}")
	}
	return f, nil
}

// directive returns the text of log_format NAME [escape=…] 'TEXT' "TEXT" …; and
// what is no directive as it is, without a line break at its end.
func directive(format string) (string, error) {
	rest, ok := strings.CutPrefix(strings.TrimSpace(format), "log_format")
	if !ok || rest == "" || rest[0] != ' ' && rest[0] != '\t' && rest[0] != '\n' {
		return strings.TrimRight(format, "\r\n"), nil
	}
	at := strings.IndexAny(rest, `'"`)
	if at < 0 {
		return "", fault.Errorf(fault.Invalid, "column 1: log_format without a text in quotes")
	}
	var b strings.Builder
	for s := rest[at:]; s != "" && s[0] != ';'; s = strings.TrimLeft(s, " \t\r\n") {
		quote, i := s[0], 1
		if quote != '\'' && quote != '"' {
			return "", fault.Errorf(fault.Invalid, "column %d: a text without quotes", len(format)-len(s)+1)
		}
		for ; i < len(s) && s[i] != quote; i++ {
			if s[i] == '\\' && i+1 < len(s) && (s[i+1] == quote || s[i+1] == '\\') {
				i++
			}
			b.WriteByte(s[i])
		}
		if i == len(s) {
			return "", fault.Errorf(fault.Invalid, "column %d: a quote without its end", len(format)-len(s)+1)
		}
		s = s[i+1:]
	}
	return b.String(), nil
}

// variable reads $name or ${name} at the start of s.
func variable(s string) (name string, n int) {
	braced := strings.HasPrefix(s, "${")
	from := 1
	if braced {
		from = 2
	}
	n = from
	for n < len(s) && (s[n]|0x20 >= 'a' && s[n]|0x20 <= 'z' || s[n] >= '0' && s[n] <= '9' || s[n] == '_') {
		n++
	}
	name = s[from:n]
	if braced {
		if n == len(s) || s[n] != '}' {
			return "", 0
		}
		n++
	}
	if name == "" {
		return "", 0
	}
	return name, n
}

func newPiece(name string) piece {
	p := piece{name: &jsonscan.Name{Text: name}, text: texts[name]}
	if r, ok := Tables[0].Keys[name]; ok {
		p.rule = &r
		return p
	}
	own := "nginx." + name
	if h, ok := strings.CutPrefix(name, "http_"); ok {
		own = "http.request.header." + strings.ReplaceAll(h, "_", "-")
	} else if h, ok := strings.CutPrefix(name, "sent_http_"); ok {
		own = "http.response.header." + strings.ReplaceAll(h, "_", "-")
	}
	p.own = []byte(own)
	return p
}

// Access is the memory in which one line is read.
type Access struct {
	at      [MaxVariables]part
	members [MaxVariables]jsonscan.Member
	slots   table.Slots
	object  jsonscan.Object
	buf     []byte
	tries   int
}

type part struct{ from, to int32 }

// Text reads a line that is of the format, and reports whether it is: the fields
// are written then.
func (f *Format) Text(a *Access, line []byte, o *facts.Out) bool {
	if f.json != nil || !bytes.HasPrefix(line, []byte(f.head)) {
		return false
	}
	a.tries = maxTries
	if !f.cut(a, line, len(f.head), 0) {
		return false
	}
	if cap(a.buf) < len(line) {
		a.buf = make([]byte, 0, 2*len(line))
	}
	a.buf = a.buf[:0]
	for i := range f.pieces {
		v := line[a.at[i].from:a.at[i].to]
		if bytes.IndexByte(v, '\\') >= 0 {
			from := len(a.buf)
			a.buf = facts.AppendUnescaped(a.buf, v)
			v = a.buf[from:]
		}
		a.members[i] = jsonscan.Member{Name: f.pieces[i].name, Kind: jsonscan.String, Text: v}
	}
	f.write(a, a.members[:len(f.pieces)], o)
	return true
}

func (f *Format) write(a *Access, members []jsonscan.Member, o *facts.Out) {
	o.Format, o.Status = f.Name, facts.OK
	s := &a.slots
	a.object.Members = members
	s.Reset(&a.object)
	for i := range members {
		if r := f.pieces[i].rule; r != nil && r.Slot() != 0 && !facts.Absent(members[i].Text) {
			s.Set(r.Slot(), &members[i])
		}
	}
	for i := range members {
		p, m := &f.pieces[i], &members[i]
		switch {
		case facts.Absent(m.Text):
		case p.rule == nil:
			o.OwnText(p.own, m.Text)
		case p.rule.Takes():
			if s.Member(p.rule.Slot()) != m {
				table.Keep(o, m)
			}
		default:
			done, odd := p.rule.Put(o, m)
			if odd {
				o.PartialOf(m.Name.Text)
			}
			if !done {
				table.Keep(o, m)
			}
		}
	}
	finish(o, s)
}

// cut finds where the variables from the i-th on stand.
func (f *Format) cut(a *Access, line []byte, from, i int) bool {
	if i == len(f.pieces) {
		return from == len(line)
	}
	p := &f.pieces[i]
	last := i == len(f.pieces)-1
	for to := from; ; to++ {
		if a.tries--; a.tries < 0 {
			return false
		}
		switch {
		case p.lit != "":
			n := bytes.Index(line[to:], []byte(p.lit))
			if n < 0 {
				return false
			}
			to += n
		case last:
			to = len(line)
		default: // a path follows
			n := bytes.IndexByte(line[to:], '/')
			if n < 0 {
				return false
			}
			to += n
		}
		fits, hopeless := p.fits(line[from:to])
		if fits {
			a.at[i] = part{int32(from), int32(to)}
			if f.cut(a, line, to+len(p.lit), i+1) {
				return true
			}
		}
		if hopeless || last && p.lit == "" {
			return false
		}
	}
}

// fits reports whether v can be the variable's value, and whether no longer one
// can be either.
func (p *piece) fits(v []byte) (fits, hopeless bool) {
	if facts.Absent(v) {
		return true, false
	}
	switch p.text {
	case word:
		hopeless = bytes.IndexByte(v, ' ') >= 0 || bytes.IndexByte(v, '"') >= 0
		return !hopeless, hopeless
	case digit:
		for _, c := range v {
			if c-'0' > 9 && c != '.' {
				return false, true
			}
		}
		return true, false
	case list:
		for i, c := range v {
			if c == ' ' && !(i > 0 && (v[i-1] == ',' || v[i-1] == ':' || i+1 < len(v) && v[i+1] == ':')) || c == '"' {
				return false, true
			}
		}
		end := v[len(v)-1]
		return end != ',' && end != ' ', false
	case clock:
		_, n := facts.ClockStamp(v)
		return n == len(v), len(v) > 32
	}
	return true, false
}
