package elastic

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/schema"
)

// A sourceFilter says which fields _source shows.
type sourceFilter struct {
	asked    bool // a request said so
	none     bool
	includes []string
	excludes []string
}

const maxPatterns = 1000

// readSource reads false, "pattern", ["pattern"] or {"includes": …, "excludes": …}.
func readSource(v any) (sourceFilter, error) {
	f := sourceFilter{asked: true}
	var err error
	switch v := v.(type) {
	case bool:
		f.none = !v
	case object:
		for _, m := range v {
			switch m.key {
			case "includes", "include":
				f.includes, err = patterns(m.val)
			case "excludes", "exclude":
				f.excludes, err = patterns(m.val)
			default:
				err = badf("parsing_exception", "Unknown key in [_source]: [%s]", short(m.key))
			}
			if err != nil {
				return f, err
			}
		}
	default:
		f.includes, err = patterns(v)
	}
	return f, err
}

func patterns(v any) ([]string, error) {
	var out []string
	for _, p := range list(v) {
		s, ok := p.(string)
		if !ok || len(out) == maxPatterns {
			return nil, badf("parsing_exception", "a list of at most %d names was expected", maxPatterns)
		}
		out = append(out, s)
	}
	return out, nil
}

// shows reports whether a name passes: a pattern names a field, or the object that
// it is in.
func (f *sourceFilter) shows(name string) bool {
	if f.none {
		return false
	}
	if len(f.includes) > 0 && !namedBy(f.includes, name) {
		return false
	}
	return !namedBy(f.excludes, name)
}

func namedBy(list []string, name string) bool {
	for _, p := range list {
		if p == name || strings.HasPrefix(name, p) && len(name) > len(p) && name[len(p)] == '.' {
			return true
		}
		if strings.Contains(p, "*") && globMatch(p, name) {
			return true
		}
	}
	return false
}

// shownName returns the name under which a stored field is shown.
func shownName(stored string) string {
	if stored == record.Body {
		return "message"
	}
	return stored
}

// hidden reports whether a field is not shown: what only says where a record
// belongs is told by _index, and stream.labels is no field at all. What a sender
// called @timestamp is not the event time, which has that name here.
func hidden(stored string) bool {
	return stored == record.Labels || stored == givenIndex || stored == timeField
}

// valueOf returns a record's value as JSON has it.
func valueOf(v record.Value) any {
	switch v.Kind {
	case record.Int:
		return v.Int
	case record.Float:
		return v.Flt
	case record.Bool:
		return v.Int != 0
	}
	return v.Str
}

// nanos is the form of times in _source.
const nanos = "2006-01-02T15:04:05.000000000Z07:00"

func stampOf(ns int64) string { return time.Unix(0, ns).UTC().Format(nanos) }

// sourceOf returns a record as a document. Names are as they are stored, dots and
// all, but the message.
func sourceOf(r *record.Record, f *sourceFilter) object {
	o := make(object, 0, len(r.Fields)+2)
	if f.shows(timeField) {
		o.put(timeField, stampOf(r.Time))
	}
	_, own := r.Get("message")
	for i := range r.Fields {
		name := r.Fields[i].Name
		if hidden(name) {
			continue
		}
		if !own { // a record that has both keeps both
			name = shownName(name)
		}
		if f.shows(name) {
			o.put(name, valueOf(r.Fields[i].Value))
		}
	}
	if !o.has("class") && f.shows("class") {
		o.put("class", string(r.Class))
	}
	return o
}

// A fieldSpec is one entry of fields or docvalue_fields.
type fieldSpec struct {
	pattern string
	format  string
}

func readFields(v any) ([]fieldSpec, error) {
	var out []fieldSpec
	for _, item := range list(v) {
		var f fieldSpec
		switch item := item.(type) {
		case string:
			f.pattern = item
		case object:
			f.pattern, _ = item.get("field").(string)
			f.format, _ = item.get("format").(string)
		}
		if f.pattern == "" || len(out) == maxPatterns {
			return nil, badf("parsing_exception", "a list of at most %d field names was expected", maxPatterns)
		}
		if !slices.Contains(out, f) {
			out = append(out, f)
		}
	}
	return out, nil
}

// fieldsOf returns what the fields of a hit show: lists of values.
func fieldsOf(r *record.Record, specs []fieldSpec) object {
	var o object
	there := make(map[string]bool, len(specs)) // records may have thousands of fields
	put := func(name string, v any) {
		if !there[name] {
			there[name] = true
			o.put(name, []any{v})
		}
	}
	for _, s := range specs {
		name := s.pattern
		if name == timeField || name == "*" {
			put(timeField, formatDate(r.Time, s.format, nil))
		}
		if !strings.Contains(name, "*") {
			if name == timeField {
				continue
			}
			if v, ok := lookup(r, name); ok {
				put(name, shownAs(v, s.format))
			}
			continue
		}
		for i := range r.Fields {
			f := &r.Fields[i]
			if shown := shownName(f.Name); !hidden(f.Name) && globMatch(name, shown) {
				put(shown, shownAs(f.Value, s.format))
			}
		}
	}
	return o
}

// over adds the members of top to base; of two with one name, top's stays.
func over(base, top object) object {
	at := make(map[string]int, len(base))
	for i, m := range base {
		at[m.key] = i
	}
	for _, m := range top {
		if i, ok := at[m.key]; ok {
			base[i].val = m.val
		} else {
			base = append(base, m)
		}
	}
	return base
}

// lookup returns the value of an asked name, class and index included.
func lookup(r *record.Record, name string) (record.Value, bool) {
	switch name {
	case indexField:
		return record.StringValue(indexOf(r)), true
	case idField:
		return record.StringValue(identity{r.Time, r.Ord}.String()), true
	}
	res := schema.Resolve(nameOf(name))
	v, _, ok := match.Lookup(&res, r)
	return v, ok
}

func shownAs(v record.Value, format string) any {
	if v.Kind == record.Int && format == "epoch_millis" {
		return strconv.FormatInt(v.Int, 10)
	}
	return valueOf(v)
}
