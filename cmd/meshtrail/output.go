package main

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/schema"
)

// shown is one record as the server sent it.
type shown struct {
	raw      []byte // the JSON object itself
	time     int64  // ns
	ord      uint64 // place in the commit order
	matched  bool   // among its surroundings
	class    string
	severity string // by whatever name its sender gave it
	line     string
	labels   string   // of a metric answer, in braces
	names    []string // of fields, in the order sent
	fields   map[string]any
}

// keep returns s for longer than the call that lent it.
func (s *shown) keep() *shown {
	s.raw = bytes.Clone(s.raw)
	return s
}

// text returns the first of the named fields that the record has.
func (s *shown) text(names ...string) string {
	for _, n := range names {
		if v, ok := s.fields[n]; ok {
			if t := valueText(v); t != "" {
				return t
			}
		}
	}
	return ""
}

// asked returns the value of a name as a query means it: stored under it, or
// under another name of the same field, in the unit of the name. It is "" when
// there is none.
func (s *shown) asked(name string) string { return valueText(s.askedValue(name)) }

func (s *shown) askedValue(name string) any {
	meaning, best, found := schema.Resolve(name), 0, any(nil)
	for _, n := range s.names {
		mul, rank, ok := meaning.Match(n)
		v := s.fields[n]
		if !ok || valueText(v) == "" || found != nil && rank >= best {
			continue
		}
		best, found = rank, v
		if number, ok := v.(json.Number); ok && mul != 1 {
			if f, err := number.Float64(); err == nil {
				found = json.Number(strconv.FormatFloat(f/mul, 'f', -1, 64))
			}
		}
	}
	return found
}

// only is the JSON object of a record with none but the named fields, by those
// names.
func (s *shown) only(fields []string) ([]byte, error) {
	var o map[string]json.RawMessage
	if err := json.Unmarshal(s.raw, &o); err != nil {
		return nil, fault.Errorf(fault.Corrupt, "read the answer: %w", err)
	}
	few := make(map[string]any, len(fields))
	for _, n := range fields {
		if v := s.askedValue(n); v != nil {
			few[n] = v
		}
	}
	o["fields"], _ = json.Marshal(few) // what JSON gave, JSON takes
	return json.Marshal(o)
}

func valueText(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	case bool:
		return strconv.FormatBool(v)
	case nil:
		return ""
	}
	data, _ := json.Marshal(v)
	return string(data)
}

// A printer writes records in one form. end is called after the last.
type printer struct {
	record func(*shown) error
	end    func() error
}

// outputs are the forms that -o knows.
var outputs = []string{"pretty", "raw", "jsonl", "csv", "logfmt"}

// newPrinter returns the printer of a form. fields are the columns that were
// asked for by name; none means the form's own choice.
func newPrinter(t *terminal, form string, fields []string, colour bool) (*printer, error) {
	out := t.data()
	p := &printer{end: func() error { out.flush(); return nil }}
	switch form {
	case "pretty":
		p.record = func(s *shown) error { return writePretty(t.out, s, fields, colour) }
	case "raw":
		p.record = func(s *shown) error {
			_, err := io.WriteString(out, s.line+"\n")
			return err
		}
	case "jsonl":
		p.record = func(s *shown) error {
			line := bytes.TrimRight(s.raw, "\r\n")
			if len(fields) > 0 {
				var err error
				if line, err = s.only(fields); err != nil {
					return err
				}
			}
			_, err := out.Write(append(line, '\n'))
			return err
		}
	case "csv":
		p.record, p.end = csvPrinter(out, fields, true)
	case "logfmt":
		p.record = func(s *shown) error { return writeLogfmt(out, s, fields) }
	default:
		return nil, checkOutput(form, outputs)
	}
	return p, nil
}

// stampLayout is how times are shown to people: local time, to the millisecond.
const stampLayout = "2006-01-02 15:04:05.000"

// Colours on a terminal: those of severities, and those that tell services
// apart, none of which means a severity.
const (
	red, boldRed, yellow, green, dim, bold, plain = "\x1b[31m", "\x1b[1;31m", "\x1b[33m", "\x1b[32m", "\x1b[2m", "\x1b[1m", "\x1b[0m"
)

var (
	severityColours = map[string]string{"worst": boldRed, "bad": red, "warn": yellow, "good": green, "low": dim}
	serviceColours  = []string{"\x1b[36m", "\x1b[34m", "\x1b[35m", "\x1b[96m", "\x1b[94m", "\x1b[95m"}
)

// colourOf gives a service the same colour every time.
func colourOf(who string) string {
	h := fnv.New32a()
	h.Write([]byte(who))
	return serviceColours[h.Sum32()%uint32(len(serviceColours))]
}

// writePretty writes one line for people. Everything from the record is escaped.
func writePretty(w io.Writer, s *shown, fields []string, colour bool) error {
	level, mark := severity(s)
	who := service(s)
	on, off, faint, name, strong := "", "", "", "", ""
	if colour {
		on, off, faint, name = severityColours[level], plain, dim, colourOf(who)
		if s.matched {
			strong = bold
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s%s%s %s%-6s%s ", faint, time.Unix(0, s.time).Format(stampLayout), off, on, escapeLine(mark), off)
	if who != "" {
		fmt.Fprintf(&b, "%s%s%s  ", name, escapeLine(who), off)
	}
	text := escapeLine(summary(s))
	if strong != "" {
		text = strong + text + off
	}
	b.WriteString(text)
	for _, n := range fields {
		if v := s.asked(n); v != "" {
			fmt.Fprintf(&b, "  %s%s=%s%s", faint, escapeLine(n), off, escapeLine(v))
		}
	}
	b.WriteByte('\n')
	_, err := io.WriteString(w, b.String())
	return err
}

// severity says how bad a record is and how to show it: its own severity, else
// its status code, else what a network policy decided.
func severity(s *shown) (level, mark string) {
	text := s.severity
	code := s.text("http.response.status_code")
	status, _ := strconv.Atoi(code)
	verdict := s.text("mesh.verdict")
	mark = firstOf(text, code, strings.ToLower(verdict))
	upper := strings.ToUpper(text)
	begins := func(words ...string) bool {
		return slices.ContainsFunc(words, func(w string) bool { return strings.HasPrefix(upper, w) })
	}
	switch {
	case begins("FATAL", "CRIT", "ALERT", "EMERG", "PANIC"):
		return "worst", mark
	case begins("ERR"), status >= 500:
		return "bad", mark
	case status >= 400, begins("WARN"), verdict == "DROPPED", verdict == "DENIED":
		return "warn", mark
	case begins("DEBUG", "TRACE", "FINE", "VERB"):
		return "low", mark
	case begins("INFO", "NOTICE"), status >= 200 && status < 400, verdict == "FORWARDED":
		return "good", mark
	}
	return "", mark
}

// service names who the record is about, with its namespace.
func service(s *shown) string {
	name := firstOf(s.text("service.name", "mesh.destination.workload"), s.asked("service"), s.text("k8s.pod.name", "kubernetes.pod.name"))
	ns := s.text("k8s.namespace.name", "mesh.destination.namespace", "kubernetes.namespace", "service.namespace")
	if name == "" || ns == "" || strings.Contains(name, "/") {
		return firstOf(name, ns)
	}
	return ns + "/" + name
}

// summary says in one line what a record says: an access log by what matters
// of it, anything else by its own line.
func summary(s *shown) string {
	if s.text(schema.RecordKind) == schema.KindSpan {
		return spanSummary(s)
	}
	method, path := s.text("http.request.method"), s.text("url.path", "url.full")
	if s.text("parse.format") == "" || method == "" && path == "" && s.text("mesh.verdict") == "" {
		return s.line
	}
	parts := []string{}
	add := func(v string) {
		if v != "" && v != "-" {
			parts = append(parts, v)
		}
	}
	add(method)
	add(path)
	add(s.text("http.response.status_code"))
	add(s.text("mesh.response_flags"))
	from := firstOf(s.text("mesh.source.workload"), s.text("client.address"), s.text("source.address"))
	to := firstOf(s.text("mesh.destination.workload"), s.text("server.address"), s.text("destination.address"))
	if from != "" || to != "" {
		add(firstOf(from, "?") + " → " + firstOf(to, "?"))
	}
	if v := s.text("mesh.verdict"); v != "FORWARDED" {
		add(v)
	}
	add(s.text("mesh.drop_reason"))
	add(duration(s))
	return strings.Join(parts, " ")
}

// duration is how long it took, "" if the record does not say.
func duration(s *shown) string {
	d, _ := s.fields["mesh.duration_ns"].(json.Number)
	ns, err := d.Float64()
	if err != nil {
		return ""
	}
	return time.Duration(ns).Round(10 * time.Microsecond).String()
}

// spanSummary says what a span did, how long it took, and to whom it was a call.
func spanSummary(s *shown) string {
	parts := []string{"span", s.text(schema.SpanName), duration(s)}
	if v := s.text(schema.SpanKind); v != "" && v != "internal" {
		parts = append(parts, v)
	}
	if v := s.text("peer.service"); v != "" {
		parts = append(parts, "→ "+v)
	}
	if s.text(schema.SpanStatus) == "error" {
		parts = append(parts, "error")
	}
	parts = append(parts, "trace="+s.text("trace_id"))
	return strings.Join(slices.DeleteFunc(parts, func(p string) bool { return p == "" }), " ")
}

// csvColumns are the columns of CSV when none are asked for.
var csvColumns = []string{"severity_text", "mesh.type", "k8s.namespace.name", "service.name", "http.request.method", "url.path", "http.response.status_code"}

// csvPrinter writes a head and a row each; with the line of the record, if asked.
func csvPrinter(out *safeWriter, fields []string, line bool) (record func(*shown) error, end func() error) {
	w := csv.NewWriter(out)
	columns := fields
	if len(columns) == 0 {
		columns = csvColumns
	}
	last := func(row []string, cell string) []string {
		if line {
			row = append(row, cell)
		}
		return row
	}
	head := true
	record = func(s *shown) error {
		if head {
			head = false
			w.Write(last(append([]string{"time"}, columns...), "line"))
		}
		row := []string{time.Unix(0, s.time).UTC().Format(time.RFC3339Nano)}
		for _, c := range columns {
			row = append(row, csvCell(s.asked(c)))
		}
		w.Write(last(row, csvCell(s.line)))
		w.Flush()
		return w.Error()
	}
	return record, func() error { w.Flush(); out.flush(); return w.Error() }
}

// csvCell keeps a spreadsheet from running a cell as a formula.
func csvCell(v string) string {
	if v == "" || !strings.ContainsRune("=+-@\t\r", rune(v[0])) {
		return v
	}
	if _, err := strconv.ParseFloat(v, 64); err == nil {
		return v
	}
	return "'" + v
}

func writeLogfmt(w io.Writer, s *shown, fields []string) error {
	var b strings.Builder
	pair := func(k, v string) {
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(strings.Map(func(r rune) rune {
			if r <= ' ' || r == '=' || r == '"' {
				return '_'
			}
			return r
		}, k))
		b.WriteByte('=')
		if v == "" || strings.ContainsFunc(v, func(r rune) bool { return r <= ' ' || r == '=' || r == '"' || r == '\\' || r == 0x7f }) {
			v = strconv.Quote(v)
		}
		b.WriteString(v)
	}
	pair("time", time.Unix(0, s.time).UTC().Format(time.RFC3339Nano))
	for _, n := range fields {
		if v := s.asked(n); v != "" {
			pair(n, v)
		}
	}
	if len(fields) == 0 {
		for _, n := range s.names {
			pair(n, valueText(s.fields[n]))
		}
	}
	b.WriteByte('\n')
	_, err := io.WriteString(w, b.String())
	return err
}

// checkOutput refuses an unknown form before the server is asked.
func checkOutput(form string, forms []string) error {
	if slices.Contains(forms, form) {
		return nil
	}
	return &exitError{exitUsage, fault.WithHint(fault.Errorf(fault.Invalid, "unknown output %q", form), "use one of "+strings.Join(forms, ", "))}
}
