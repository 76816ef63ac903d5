// Package applog reads what programs log of themselves: time, severity, thread,
// logger and place before a message, in the notations of the usual libraries, as
// text and as JSON.
//
// Text has no declared layout, so it is read by what its first words are: a time
// in a notation of stamp, a severity, names in brackets. Nothing behind the first
// word that is neither is looked at, and a word of a sentence is never taken for a
// severity. What is read becomes fields; the line stays the body.
//
// The formats are those of log4j, logback, Python's logging, zap, glog and klog
// (k8s.io/klog, header format in klog.go), Ruby's Logger, go-kit's logfmt and
// others; docs/platforms.md lists them. It never panics on outside bytes and keeps
// nothing beyond a call.
package applog

import (
	"bytes"

	"github.com/meshtrail/meshtrail/internal/normalise/facts"
	"github.com/meshtrail/meshtrail/internal/normalise/field"
	"github.com/meshtrail/meshtrail/internal/normalise/kv"
)

// The names of the text formats.
const (
	textFormat    = "applog-text"
	uvicornFormat = "uvicorn-access"
	klogFormat    = "klog-text"
	logfmtFormat  = "logfmt"
)

// Formats are the text layouts that this package reads.
var Formats = []facts.Format{
	{Name: klogFormat, Platform: "klog", Kind: facts.App, Of: "klog and glog: Kubernetes' own components and many controllers"},
	{Name: logfmtFormat, Platform: "logfmt", Kind: facts.App, Of: "key=value pairs: logrus, go-kit, slog's text handler, Grafana's programs"},
	{Name: uvicornFormat, Platform: "uvicorn", Kind: facts.Access, Of: "uvicorn's access log, as it writes it on its own"},
	{Name: textFormat, Platform: "app", Kind: facts.App, Of: "a line that begins with a time or a severity, as log4j, logback, Python, zap's console and most others write it"},
}

// Line reads text lines of programs.
type Line struct {
	words words
	text  []byte // unquoted
	plain []byte // without colours
}

// Text implements facts.Line.
func (l *Line) Text(line []byte, o *facts.Out) bool {
	if h, ok := klogHeader(line, o.Now); ok {
		l.klog(&h, line, o)
		return true
	}
	if l.logfmt(line, o) {
		return true
	}
	w := &l.words
	if line = l.uncoloured(line); len(line) == 0 {
		return false
	}
	if uvicorn(line, o) {
		return true
	}
	if h, ok := machineHeader(line); ok {
		*w = words{time: h.time, timed: true, level: h.level, logger: h.logger}
		o.DeriveBytes(field.HostName, h.node)
	} else if !w.read(line, o.Now) {
		return false
	}
	o.Format, o.Status = textFormat, facts.OK
	if w.time != 0 && !o.Fixed && o.Time == 0 && facts.Plausible(w.time) {
		o.Time = w.time
	}
	if w.timed && !w.severe() {
		w.postgres(line, o)
	}
	if w.level == nil && w.logger == nil && w.thread == nil && w.pid == nil && w.tid == nil {
		o.PartialOf("level") // a time alone
	}
	if w.level != nil {
		o.Severity(w.level)
	} else if w.symbol != "" {
		o.Severity([]byte(w.symbol))
	}
	if w.logger == nil {
		w.logger = lastLogger(line)
	}
	if w.logger != nil && !function(o, w.logger) && !place(o, w.logger) {
		o.DeriveBytes(field.LogLogger, w.logger)
	}
	o.DeriveBytes(field.ThreadName, w.thread)
	if n, ok := facts.Uint(w.pid); ok {
		o.Int(field.ProcessPID, n)
	}
	if n, ok := facts.Uint(w.tid); ok {
		o.Int(field.ThreadID, n)
	}
	o.DeriveBytes(field.EventCode, w.code)
	return true
}

// Headed reports whether a line begins as lines of programs do that write their
// own time: with a time, a header of klog, or a pair.
func Headed(line []byte, now int64) bool {
	if len(line) > 0 && line[0] == '[' {
		line = line[1:]
	}
	if headed(line, now) {
		return true
	}
	_, ok := klogHeader(line, now)
	return ok || kv.IsPair(line)
}

func headed(line []byte, now int64) bool {
	_, n := stamp(line, now)
	return n > 0
}

// words is what the first words of a line say.
type words struct {
	time                       int64
	timed                      bool // a time was read, perhaps without a day
	level                      []byte
	logger, thread, pid, tid   []byte
	candidate                  []byte // a name before the severity
	marked                     bool   // it is set off as a name
	dashed                     bool   // a dash stood before the word
	code                       []byte // of what happened
	symbol                     string // the severity, of those that are written as another sign
	strangers, numbers, tokens int
	brackets                   int
}

// Limits of what stands before a message.
const (
	maxHead   = 320
	maxTokens = 12
)

// read reads the first words of a line and reports whether it begins with a time
// or a severity.
func (w *words) read(line []byte, now int64) bool {
	*w = words{}
	s := line[:min(len(line), maxHead)]
	if len(s) > 4 && s[1] == ',' && s[2] == ' ' && s[3] == '[' { // Ruby: I, [time #pid]  INFO -- name: message
		s = s[3:]
	}
	if w.lettered(s) {
		return true
	}
	if rest, ok := bytes.CutPrefix(s, []byte("[Nest] ")); ok { // NestJS: [Nest] pid  - 01/02/2006, 3:04:05 PM     LOG [name] message
		return w.nest(rest)
	}
	for w.tokens = 0; w.tokens < maxTokens; w.tokens++ {
		s = w.separators(s)
		if len(s) == 0 {
			break
		}
		var more bool
		if s, more = w.token(s, now); !more {
			break
		}
	}
	if w.logger == nil && (w.level != nil || w.marked) {
		w.logger = w.candidate
	}
	if w.level == nil {
		w.thread = nil // brackets of a message
	}
	return w.timed || w.level != nil
}

// separators skips what stands between words, and notes a dash.
func (w *words) separators(s []byte) []byte {
	w.dashed = false
	for len(s) > 0 {
		switch c := s[0]; {
		case c == ' ' || c == '\t' || c == '|' || c == ',':
		case c == '-' && len(s) > 1 && (s[1] == ' ' || s[1] == '-' || s[1] == '\t'):
			w.dashed = true
		default:
			return s
		}
		s = s[1:]
	}
	return s
}

// token reads one word, and reports whether the next may still be none of the
// message.
func (w *words) token(s []byte, now int64) (rest []byte, more bool) {
	if !w.timed {
		if ns, n := stamp(s, now); n > 0 && (n == len(s) || !wordByte(s[n])) {
			w.time, w.timed = ns, true
			return bytes.TrimPrefix(s[n:], []byte(":")), true // 15:04:05,000:LEVEL:message
		}
	}
	switch s[0] {
	case '[', '(', '<':
		return w.bracket(s, now)
	}
	end := 0
	for end < len(s) && s[end] > ' ' && s[end] != '|' && s[end] != ',' {
		end++
	}
	word, rest := s[:end], s[end:]
	if c := bytes.IndexByte(word, ':'); c > 0 && w.level == nil && facts.IsLevel(word[:c]) { // ERROR:root:message, WARN: message
		w.level = word[:c]
		if after := word[c+1:]; len(after) > 1 && bytes.IndexByte(after, ':') > 0 {
			w.logger = after[:bytes.IndexByte(after, ':')]
			return rest, false
		}
		return rest, w.timed && len(word) == c+1
	}
	return w.word(word, rest)
}

func (w *words) word(word, rest []byte) ([]byte, bool) {
	bare := bytes.TrimSuffix(word, []byte(":"))
	if i := bytes.LastIndexByte(bare, '.'); i > 0 && w.timed && w.level == nil && len(bare) < len(word) && facts.IsLevel(bare[i+1:]) && bare[i+1] < 'a' {
		w.logger, w.level = bare[:i], bare[i+1:] // Monolog: CHANNEL.LEVEL: message
		return rest, false
	}
	switch {
	case len(word) == 1 && w.timed && w.level == nil && w.pid != nil && w.numbers == 0 && redisLevel(word[0]) != "":
		w.symbol = redisLevel(word[0])
		return rest, false
	case w.level == nil && w.isLevel(bare):
		w.level = bare
		if len(rest) > 1 && rest[0] == '\t' { // zap's console
			if i := bytes.IndexByte(rest[1:], '\t') + 1; i > 1 && len(rest) > i+1 && rest[i+1] != '{' && name(rest[1:i]) {
				w.logger = rest[1:i]
				return rest[i:], false
			}
		}
		return rest, w.timed || len(rest) > 0
	case number(bare) >= 0 && len(bare) < 11 && w.timed:
		if w.level == nil && w.numbers == 0 && command(rest) {
			w.tid = bare
			return rest, false
		}
		return rest, w.number(bare)
	case !w.timed && w.level == nil:
		return rest, w.stranger(word)
	case w.level == nil: // a name before the severity, or the message
		piped := len(rest) > 0 && rest[0] == '|'
		if w.candidate != nil || !w.dashed && !name(bare) && !piped {
			return rest, false
		}
		w.candidate, w.marked = bare, w.dashed || piped || len(bare) < len(word) || bytes.HasPrefix(rest, []byte(" - "))
		return rest, len(word) == len(bare) || piped
	}
	// Behind the severity: the logger, when it is marked as one.
	if len(w.level) == 1 && bytes.HasPrefix(bytes.TrimLeft(rest, " "), []byte("[")) && bytes.IndexFunc(bare, notCapital) < 0 { // MongoDB
		w.logger = bare
		return rest, true
	}
	if len(bare) < len(word) && name(bare) || name(bare) && (bytes.HasPrefix(rest, []byte(" - ")) || bytes.HasPrefix(rest, []byte(" -- ")) || bytes.IndexByte(bare, '.') > 0 || rested(rest, " : ")) {
		w.logger = bare
	}
	return rest, false
}

// rested reports whether rest, without its leading white space, begins with sep.
func rested(rest []byte, sep string) bool {
	t := bytes.TrimLeft(rest, " ")
	return len(t) < len(rest) && bytes.HasPrefix(t, []byte(sep[1:]))
}

// isLevel reports whether a word in this place is a severity. In the middle of
// other words only one in capitals is.
func (w *words) isLevel(word []byte) bool {
	if len(word) == 1 {
		return w.timed && (w.numbers > 0 || w.tokens == 1) && facts.Level(word) != 0 && word[0] < 'a'
	}
	if !facts.IsLevel(word) {
		return false
	}
	return word[1] < 'a' || w.timed && w.candidate == nil || w.dashed
}

// number takes digits for a process, then for a thread.
func (w *words) number(v []byte) bool {
	w.numbers++
	switch w.numbers {
	case 1:
		w.pid = v
	case 2:
		w.tid = v
	}
	return w.numbers < 3
}

// stranger is a word before the time: a file's name, a node's, a label.
func (w *words) stranger(word []byte) bool {
	w.strangers++
	redis := w.redis(word)
	return w.strangers < 2 && (redis || bytes.IndexByte(word, '.') > 0 && bytes.IndexByte(word, '=') < 0)
}

// bracket reads [x], (x) and <x>: a time, a severity, a process or a thread.
func (w *words) bracket(s []byte, now int64) (rest []byte, more bool) {
	pairs := map[byte]byte{'[': ']', '(': ')', '<': '>'}
	shut := pairs[s[0]]
	depth, end := 0, -1
	for i, c := range s {
		if c == s[0] {
			depth++
		} else if c == shut {
			if depth--; depth == 0 {
				end = i
				break
			}
		}
	}
	if end < 0 {
		return s, false
	}
	in, rest := bytes.TrimSpace(s[1:end]), s[end+1:]
	if !w.timed {
		ns, n := stamp(in, now)
		if n == 0 && len(in) > 10 && in[1] == ' ' && in[0] < 'a' && facts.Level(in[:1]) != 0 { // [I 060102 15:04:05 web:2271] of Tornado
			if ns, n = stamp(in[2:], now); n > 0 {
				w.level, n = in[:1], n+2
				w.logger = lastWord(in[n:])
			}
		}
		if n > 0 {
			w.time, w.timed = ns, true
			return rest, w.behind(in[n:])
		}
	}
	switch {
	case !w.timed && w.tokens == 0 && w.redis(in):
		return rest, true
	case w.level == nil && facts.IsLevel(in):
		w.level = in
		w.server(in)
	case w.level == nil && w.timed && len(in) == 1 && in[0] < 'a' && facts.Level(in) != 0: // Gitea
		w.level = in
	case bytes.HasPrefix(in, []byte("MY-")) && w.tid != nil:
		w.code = in
	case w.code != nil && w.logger == nil && name(in): // the subsystem of MySQL
		w.logger = in
	case number(in) >= 0 && len(in) < 11 && len(in) > 0:
		w.number(in)
	case len(w.level) == 1 && w.logger != nil && w.thread == nil: // the context of MongoDB
		w.thread = in
		return rest, false
	case w.level != nil && w.logger == nil && !w.dashed && bytes.IndexByte(in, '.') > 0 && name(in) && !named(rest):
		w.logger = in // a class: few threads have dots
	case ported(in):
		return rest, false // a client of the message
	case w.level != nil && !w.timed && headed(bytes.TrimLeft(rest, " "), now): // Cassandra: LEVEL [thread] TIME
		w.thread = in
	case w.brackets < 2 && w.timed:
		w.thread = in // of an application's name and a thread, the last
		w.brackets++
	default:
		return rest, false
	}
	return rest, w.timed || w.level != nil
}

// lastLogger returns the class in brackets that log4j's pattern of Kafka puts
// behind the message, or nil.
func lastLogger(line []byte) []byte {
	if line[len(line)-1] != ')' {
		return nil
	}
	i := bytes.LastIndexByte(line, '(')
	if i < 1 || line[i-1] != ' ' {
		return nil
	}
	in := line[i+1 : len(line)-1]
	if bytes.IndexByte(in, '.') < 0 || !name(in) {
		return nil
	}
	return in
}

func wordByte(c byte) bool {
	return c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' || c == '_' || c == '/'
}

// name reports whether a word may name a logger: letters, digits, and what paths
// and packages are written with.
func name(word []byte) bool {
	if len(word) == 0 || len(word) > 128 {
		return false
	}
	for _, c := range word {
		if !wordByte(c) && c != '.' && c != '-' && c != '$' && c != '@' && c != ':' && c != '#' && c != '[' && c != ']' {
			return false
		}
	}
	return word[0]-'0' >= 10
}
