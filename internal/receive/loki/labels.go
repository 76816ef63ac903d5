package loki

import (
	"slices"
	"strconv"
	"strings"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/receive"
	"github.com/meshtrail/meshtrail/internal/record"
)

// maxLabels bounds the labels of a stream. There is no limit by policy.
const maxLabels = 1024

// fewLabels are sorted by insertion: senders have them in order, or nearly.
const fewLabels = 32

// labels parses {a="b", c="d"} (the Prometheus text form: names of
// [a-zA-Z0-9_:.] or quoted, values quoted with " ' or `) into fields sorted by
// name, with record.Labels last. They live as long as the Set.
func (d *decoder) labels(s []byte) ([]record.Field, error) {
	d.set.Open()
	n, err := d.parseLabels(receive.Str(s))
	if err != nil {
		d.set.Undo()
		return nil, fault.Errorf(fault.Invalid, "error parsing labels %.200q: %w", s, err)
	}
	if n == 0 {
		return d.set.Close(), nil
	}
	return d.finishLabels()
}

// finishLabels sorts the open fields and adds the one that names them.
func (d *decoder) finishLabels() ([]record.Field, error) {
	fs := d.set.Close()
	size := 0
	for i := range fs {
		size += len(fs[i].Name) + 1
	}
	if len(fs) > fewLabels {
		slices.SortFunc(fs, func(a, b record.Field) int { return strings.Compare(a.Name, b.Name) })
	} else {
		for i := range fs {
			for j := i; j > 0 && fs[j].Name < fs[j-1].Name; j-- {
				fs[j], fs[j-1] = fs[j-1], fs[j]
			}
		}
	}
	names := d.set.Text(size)
	for i := range fs {
		if i > 0 {
			if fs[i].Name == fs[i-1].Name {
				return nil, fault.Errorf(fault.Invalid, "label %.60q appears twice in a stream", fs[i].Name)
			}
			names = append(names, ',')
		}
		names = append(names, fs[i].Name...)
	}
	names = d.set.Keep(names)
	d.set.Open()
	d.set.Fields(fs)
	d.set.Field(record.Labels, receive.Str(names))
	return d.set.Close(), nil
}

// serviceLabels are the labels that Loki takes for the service of a stream
// without service_name, the first that it has (limits_config,
// discover_service_name).
var serviceLabels = [...]string{
	"service", "app", "application", "app_name", "name", "app_kubernetes_io_name", "container", "container_name",
	"k8s_container_name", "component", "workload", "job", "k8s_job_name",
}

// noService is what Loki, and OpenTelemetry, call a service without a name.
const noService = "unknown_service"

// serviceOf returns what the labels of a stream say of its service, for records
// that do not name it themselves.
func serviceOf(labels []record.Field) string {
	for _, name := range serviceLabels {
		for i := range labels {
			if labels[i].Name == name && labels[i].Value.Str != "" {
				return labels[i].Value.Str
			}
		}
	}
	return noService
}

func (d *decoder) parseLabels(s string) (n int, err error) {
	s = strings.TrimSpace(s)
	if len(s) < 2 || s[0] != '{' || s[len(s)-1] != '}' {
		return 0, fault.Errorf(fault.Invalid, "expected {name=\"value\", ...}")
	}
	s = strings.TrimSpace(s[1 : len(s)-1])
	for s != "" {
		if n++; n > maxLabels {
			return n, fault.Errorf(fault.Invalid, "more than %d labels", maxLabels)
		}
		var name, value string
		if name, s, err = d.labelName(s); err != nil {
			return n, err
		}
		s = strings.TrimSpace(s)
		if s == "" || s[0] != '=' {
			return n, fault.Errorf(fault.Invalid, "expected = after label %.60q", name)
		}
		if value, s, err = d.quoted(strings.TrimSpace(s[1:])); err != nil {
			return n, err
		}
		d.set.Field(name, value)
		s = strings.TrimSpace(s)
		if s == "" {
			break
		}
		if s[0] != ',' {
			return n, fault.Errorf(fault.Invalid, "expected a comma after label %.60q", name)
		}
		s = strings.TrimSpace(s[1:])
	}
	return n, nil
}

func (d *decoder) labelName(s string) (name, rest string, err error) {
	if s[0] == '"' {
		if name, rest, err = d.quoted(s); err == nil && !goodName(name) {
			err = fault.Errorf(fault.Invalid, "bad label name")
		}
		return name, rest, err
	}
	i := 0
	for i < len(s) && nameByte[s[i]] {
		i++
	}
	if i == 0 || !goodName(s[:i]) {
		return "", "", fault.Errorf(fault.Invalid, "expected a label name at %.20q", s)
	}
	return s[:i], s[i:], nil
}

// goodName reports whether a label's name can stand in the list of names.
func goodName(name string) bool {
	return name != "" && len(name) <= 1024 && !strings.ContainsAny(name, ",\x00\n")
}

var nameByte = func() (t [256]bool) {
	for _, c := range "_:.-/abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789" {
		t[c] = true
	}
	return t
}()

// quoted reads a Go string literal at the start of s.
func (d *decoder) quoted(s string) (value, rest string, err error) {
	bad := func() (string, string, error) {
		return "", "", fault.Errorf(fault.Invalid, "expected a quoted string at %.20q", s)
	}
	if s == "" || (s[0] != '"' && s[0] != '\'' && s[0] != '`') {
		return bad()
	}
	quote := s[0]
	in := s[1:]
	end := strings.IndexByte(in, quote)
	if end < 0 {
		return bad()
	}
	if quote == '`' || strings.IndexByte(in[:end], '\\') < 0 {
		return in[:end], in[end+1:], nil
	}
	out := d.set.Text(len(in))
	for in != "" && in[0] != quote {
		r, wide, tail, err := strconv.UnquoteChar(in, quote)
		if err != nil {
			return bad()
		}
		if r < 0x80 || !wide {
			out = append(out, byte(r))
		} else {
			out = append(out, string(r)...)
		}
		in = tail
	}
	if in == "" {
		return bad()
	}
	return receive.Str(d.set.Keep(out)), in[1:], nil
}
