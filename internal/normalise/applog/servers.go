package applog

import (
	"bytes"

	"github.com/meshtrail/meshtrail/internal/normalise/facts"
	"github.com/meshtrail/meshtrail/internal/normalise/field"
)

// server takes the number before a severity of MySQL and MariaDB for what it is:
//
//	TIME THREAD [Note|Warning|ERROR|System] [MY-000000] [SUBSYSTEM] message
//
// The thread is that of a connection, of the server's own it is 0.
func (w *words) server(level []byte) {
	switch string(level) {
	case "Note", "Warning", "ERROR", "System":
		if w.numbers == 1 && w.brackets == 0 && w.pid != nil {
			w.pid, w.tid = nil, w.pid
		}
	}
}

// command reports whether what follows a number is a command of MySQL's general
// log: TIME THREAD COMMAND argument. Its column is padded with a tab.
func command(rest []byte) bool {
	rest = bytes.TrimLeft(rest, " ")
	for _, c := range [...]string{"Connect", "Query", "Quit", "Init DB", "Execute", "Prepare", "Close stmt", "Field List", "Statistics"} {
		if bytes.HasPrefix(rest, []byte(c)) && len(rest) >= len(c) && (len(rest) == len(c) || rest[len(c)] == '\t' || rest[len(c)] == ' ') {
			return true
		}
	}
	return false
}

// severe reports whether a severity was read that PostgreSQL does not write.
func (w *words) severe() bool { return w.level != nil && len(postgresLevel(w.level)) == 0 }

// postgresLevels are what PostgreSQL writes before a colon and two spaces
// (error_severity of elog.c), and the other lines of one report.
var postgresLevels = [...]string{"LOG", "ERROR", "FATAL", "PANIC", "WARNING", "NOTICE", "INFO", "DEBUG1", "DEBUG2", "DEBUG3", "DEBUG4", "DEBUG5", "STATEMENT", "DETAIL", "HINT", "CONTEXT", "QUERY", "LOCATION", "BACKTRACE"}

// postgresLevel returns what of postgresLevels a word ends with, or nil.
func postgresLevel(word []byte) []byte {
	for _, l := range postgresLevels {
		if n := len(word) - len(l); n >= 0 && string(word[n:]) == l && (n == 0 || word[n-1] == ' ' || word[n-1] == ':' || word[n-1] == '\t') {
			return word[n:]
		}
	}
	return nil
}

// postgres reads what stands between the time and the severity of PostgreSQL, as
// log_line_prefix says: of its escapes the process in brackets, USER@DATABASE, and
// the client's ADDRESS(PORT) are told by their form.
//
//	%m [%p] %q%u@%d                  Debian
//	%t:%r:%u@%d:[%p]:                Amazon RDS
func (w *words) postgres(line []byte, o *facts.Out) {
	head := line[:min(len(line), maxHead)]
	end := bytes.Index(head, []byte(":  "))
	if end < 0 {
		return
	}
	level := postgresLevel(head[:end])
	if level == nil {
		return
	}
	head = head[:end-len(level)]
	*w = words{time: w.time, timed: true}
	if facts.IsLevel(level) {
		w.level = level
	} else if len(level) == 6 && level[0] == 'D' && level[5]-'0' < 10 {
		w.level = level[:5]
	}
	for i := 0; i < len(head); {
		from := i
		for i < len(head) && head[i] > ' ' && head[i] != ':' && head[i] != ',' {
			i++
		}
		part := head[from:i]
		i++
		switch at := bytes.IndexByte(part, '@'); {
		case len(part) > 2 && part[0] == '[' && part[len(part)-1] == ']':
			if p, _ := facts.CutByte(part[1:len(part)-1], '-'); number(p) >= 0 && w.pid == nil {
				w.pid = p // %p, or %p-%l
			}
		case at > 0:
			if v := part[:at]; string(v) != "[unknown]" {
				o.Str(field.UserName, v)
			}
			if v := part[at+1:]; len(v) > 0 && string(v) != "[unknown]" {
				o.Str(field.DBNamespace, v)
			}
		case len(part) > 3 && part[len(part)-1] == ')':
			host, port := facts.CutByte(part[:len(part)-1], '(')
			if n, ok := facts.Uint(port); ok && facts.IP(host) {
				o.PeerAt(facts.Address{Host: host, Port: n}, nil)
			}
		}
	}
	if w.pid == nil { // so that the line is not taken for a time alone
		w.pid = []byte{}
	}
}

// nest reads what NestJS writes behind its name. Its time is in the order of the
// United States, unless the program's locale is another one, so that it is not
// read: the record has the time of its transport.
func (w *words) nest(s []byte) bool {
	pid, s := facts.CutByte(s, ' ')
	dash := bytes.Index(s, []byte("- "))
	if number(pid) < 0 || dash < 0 || dash > 4 {
		return false
	}
	w.pid = pid
	s = s[dash+2:]
	for len(s) > 0 { // the date and the clock, however they are written
		var word []byte
		word, s = facts.CutByte(bytes.TrimLeft(s, " "), ' ')
		if facts.IsLevel(word) && word[0] < 'a' {
			w.level = word
			break
		}
		if len(word) == 0 || word[0]-'0' >= 10 && string(word) != "AM" && string(word) != "PM" {
			return false
		}
	}
	if s = bytes.TrimLeft(s, " "); len(s) > 2 && s[0] == '[' {
		if end := bytes.IndexByte(s, ']'); end > 0 && name(s[1:end]) {
			w.logger = s[1:end]
		}
	}
	return w.level != nil
}

// uvicorn reads the access log of uvicorn, as it writes it on its own:
//
//	INFO:     ADDRESS:PORT - "METHOD TARGET HTTP/1.1" STATUS PHRASE
func uvicorn(line []byte, o *facts.Out) bool {
	s, ok := bytes.CutPrefix(line, []byte("INFO:"))
	if !ok {
		return false
	}
	peer, s := facts.CutByte(bytes.TrimLeft(s, " "), ' ')
	colon := bytes.LastIndexByte(peer, ':')
	s, ok = bytes.CutPrefix(s, []byte(`- "`))
	if !ok || colon < 0 || !facts.IP(peer[:colon]) {
		return false
	}
	end := bytes.LastIndex(s, []byte(`" `))
	port, good := facts.Uint(peer[colon+1:])
	if !good || end < 0 || len(s) < end+5 || !bytes.Contains(s[:end], []byte(" HTTP/")) {
		return false
	}
	status := number(s[end+2 : end+5])
	if status < 100 || len(s) > end+5 && s[end+5] != ' ' {
		return false
	}
	o.Format, o.Status = uvicornFormat, facts.OK
	o.Severity([]byte("INFO"))
	o.PeerAt(facts.Address{Host: peer[:colon], Port: port}, nil)
	if _, ok := o.Request(s[:end]); !ok {
		o.PartialOf("request")
	}
	o.Int(field.HTTPResponseStatusCode, int64(status))
	return true
}

// redis takes PID:ROLE, or the PID alone of versions before 3, for what stands
// before the time of Redis. It reports whether a word is one.
func (w *words) redis(word []byte) bool {
	if n := len(word); n > 2 && word[n-2] == ':' {
		word = word[:n-2]
	}
	if len(word) == 0 || len(word) > 10 || number(word) < 0 {
		return false
	}
	w.pid = word
	return true
}

// redisLevel returns the severity that Redis writes as a sign (serverLogRaw of
// server.c), or "".
func redisLevel(c byte) string {
	switch c {
	case '.':
		return "debug"
	case '-':
		return "verbose"
	case '*':
		return "notice"
	case '#':
		return "warning"
	}
	return ""
}

// notCapital is true of what no component of MongoDB before 4.4 is written with:
// TIME LEVEL COMPONENT [CONTEXT] message.
func notCapital(r rune) bool { return r < 'A' || r > 'Z' }

// behind reads what stands behind a time within its bracket, and reports whether
// what follows the bracket may still be none of the message:
//
//	[TIME #PID]                Ruby
//	[TIME: LEVEL/PROCESS]      Celery
//	[TIME LEVEL LOGGER]        Rust's env_logger
func (w *words) behind(s []byte) bool {
	if w.level != nil {
		return false
	}
	celery := bytes.HasPrefix(s, []byte(": "))
	s = bytes.TrimLeft(s, ": ")
	if len(s) > 1 && s[0] == '#' {
		w.pid = s[1:]
		return true
	}
	end := bytes.IndexAny(s, " /")
	if end < 0 {
		end = len(s)
	}
	if !facts.IsLevel(s[:end]) {
		return true
	}
	w.level, s = s[:end], s[end:]
	switch {
	case celery && len(s) > 1:
		w.thread = s[1:]
	default:
		w.logger = lastWord(s)
		if len(s) == 0 {
			return true
		}
	}
	return false
}

// lettered reads the heads that begin with a severity of four letters:
//
//	info: Category[14]               .NET's console
//	INFO[0001] message               logrus on a terminal, with seconds since the start or a time
func (w *words) lettered(s []byte) bool {
	if len(s) < 8 {
		return false
	}
	switch string(s[:4]) {
	case "trce", "dbug", "info", "warn", "fail", "crit":
		rest, ok := bytes.CutPrefix(s[4:], []byte(": "))
		end := bytes.IndexByte(rest, '[')
		if !ok || end < 1 || !name(rest[:end]) {
			return false
		}
		id, _ := facts.CutByte(rest[end+1:], ']')
		if number(id) < 0 {
			return false
		}
		w.level, w.logger, w.code = s[:4], rest[:end], id
		return true
	case "TRAC", "DEBU", "INFO", "WARN", "ERRO", "FATA", "PANI":
		end := bytes.IndexByte(s, ']')
		if s[4] != '[' || end < 9 || end > 40 {
			return false
		}
		in := s[5:end]
		if number(in) < 0 {
			ns, n := stamp(in, 0)
			if n != len(in) {
				return false
			}
			w.time, w.timed = ns, true
		}
		w.level = s[:4]
		return true
	}
	return false
}

// function reads NAME:FUNCTION:LINE of loguru.
func function(o *facts.Out, v []byte) bool {
	i := bytes.IndexByte(v, ':')
	j := bytes.LastIndexByte(v, ':')
	if i < 1 || j <= i+1 || bytes.IndexByte(v[i+1:j], ':') >= 0 {
		return false
	}
	n, ok := facts.Uint(v[j+1:])
	if ok {
		o.DeriveBytes(field.LogLogger, v[:i])
		o.DeriveBytes(field.CodeFunctionName, v[i+1:j])
		o.Int(field.CodeLineNumber, n)
	}
	return ok
}

// named reports whether the next word is marked as a logger.
func named(rest []byte) bool {
	word, _ := facts.CutByte(bytes.TrimLeft(rest, " "), ' ')
	return len(word) > 1 && word[len(word)-1] == ':' && name(word[:len(word)-1])
}

// ported reports whether a text is an address and a port.
func ported(b []byte) bool {
	i := bytes.LastIndexByte(b, ':')
	return i > 0 && number(b[i+1:]) >= 0 && facts.IP(bytes.Trim(b[:i], "[]"))
}

// lastWord returns the only word of b, or nil.
func lastWord(b []byte) []byte {
	if b = bytes.TrimSpace(b); !name(b) {
		return nil
	}
	return b
}

// uncoloured returns a line without the escapes of a terminal's colours
// (ECMA-48: CSI … m), if it has some among its first words. It is l's.
func (l *Line) uncoloured(line []byte) []byte {
	head := min(len(line), maxHead)
	if bytes.IndexByte(line[:head], 0x1b) < 0 {
		return line
	}
	l.plain = l.plain[:0]
	for i := 0; i < head; i++ {
		if line[i] != 0x1b || i+1 >= len(line) || line[i+1] != '[' {
			l.plain = append(l.plain, line[i])
			continue
		}
		for i += 2; i < len(line) && line[i] >= 0x20 && line[i] < 0x40; i++ {
		}
		head = max(head, min(i+1, len(line)))
	}
	l.plain = append(l.plain, line[head:]...)
	return l.plain
}
