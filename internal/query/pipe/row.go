package pipe

import (
	"cmp"
	"slices"

	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/schema"
)

// A Label is a field that the pipeline made or changed.
type Label struct{ Name, Value string }

// A Row is a record as the pipeline left it.
type Row struct {
	run  *Run
	rec  *record.Record
	base *record.Record // rec, or view when fields of it were dropped
	view record.Record

	line    string
	hasLine bool // line is filled in
	changed bool // by a stage; else line is that of rec

	made   []Label        // unsorted, names unique
	places places         // of made, by name
	taking int            // calls of taken
	stored map[string]int // of rec.Fields, by identifier, once there were many
	shown  []Label        // what Labels returned last
	errors [2]string
}

func (w *Row) reset(rec *record.Record) {
	w.rec, w.base = rec, rec
	w.line, w.hasLine, w.changed = "", false, false
	w.made = w.made[:0]
	w.places.known = 0
	w.taking = 0
	w.errors = [2]string{}
}

// Record returns the record that went in, unchanged.
func (w *Row) Record() *record.Record { return w.rec }

// Line returns the line after all stages.
func (w *Row) Line() string {
	if !w.hasLine {
		w.hasLine = true
		if v, ok := w.rec.Get(record.Body); ok && v.Kind == record.String {
			w.line = v.Str
		} else {
			w.run.buf = match.AppendLine(w.run.buf[:0], w.rec)
			w.line = string(w.run.buf)
		}
	}
	return w.line
}

// Changed reports whether a stage gave the record a line of its own.
func (w *Row) Changed() bool { return w.changed }

func (w *Row) setLine(s string) { w.line, w.hasLine, w.changed = s, true, true }

// bodied reports whether the line is more than the record's own fields: a
// parser finds nothing new in those.
func (w *Row) bodied() bool {
	if w.changed {
		return true
	}
	_, ok := w.rec.Get(record.Body)
	return ok
}

// Get returns the text of a field after all stages: one that a stage made, or
// else the stored one that the name means (schema.Resolve), unless it was
// dropped. __error__ and __error_details__ are fields, and match.Class is.
// ClassName is the retention class where a record has no field called so.
func (w *Row) Get(name string) (text string, ok bool) {
	v, _, ok := w.Value(name)
	return v.Text(), ok
}

// Value returns a field as Get does, typed, with the factor that turns a number
// in the asked name's unit into the value's unit. What a stage made is a text.
func (w *Row) Value(name string) (v record.Value, mul float64, ok bool) {
	return w.value(w.run.ref(name))
}

func (w *Row) value(r *ref) (v record.Value, mul float64, ok bool) {
	if s, ok := w.madeText(r); ok {
		return record.StringValue(s), r.mul, true
	}
	if r.error >= 0 {
		return record.Value{}, 0, false
	}
	v, mul, ok = match.Lookup(&r.res, w.base)
	if !ok && r.name == ClassName {
		return record.StringValue(string(w.rec.Class)), 1, true
	}
	return v, mul, ok
}

// madeText returns what a stage made under a name.
func (w *Row) madeText(r *ref) (string, bool) {
	if r.error >= 0 {
		s := w.errors[r.error]
		return s, s != ""
	}
	if i := w.find(r.ident); i >= 0 {
		return w.made[i].Value, true
	}
	return "", false
}

// places finds made fields by name when there are many of them: a hostile line
// has thousands.
type places struct {
	known int // of made, so many are in at
	at    map[string]int
}

// few is how many are looked through one by one.
const few = 32

// find returns the place of a made field, or -1.
func (w *Row) find(name string) int {
	if len(w.made) <= few {
		for i := range w.made {
			if w.made[i].Name == name {
				return i
			}
		}
		return -1
	}
	p := &w.places
	if p.known == 0 {
		if p.at == nil {
			p.at = map[string]int{}
		}
		clear(p.at)
	}
	for ; p.known < len(w.made); p.known++ {
		p.at[w.made[p.known].Name] = p.known
	}
	if i, ok := p.at[name]; ok {
		return i
	}
	return -1
}

// Labels returns the fields that the pipeline made or changed, sorted by name;
// Loki calls them parsed. __error__ and __error_details__ are among them when
// there was an error. The slice is lent until the next Do.
func (w *Row) Labels() []Label {
	w.shown = append(w.shown[:0], w.made...)
	for i, name := range errorNames {
		if w.errors[i] != "" {
			w.shown = append(w.shown, Label{name, w.errors[i]})
		}
	}
	slices.SortFunc(w.shown, func(a, b Label) int { return cmp.Compare(a.Name, b.Name) })
	return w.shown
}

// Dropped reports whether the record has a stored field that the name means and
// a stage took it away (drop, keep, or renamed by label_format).
func (w *Row) Dropped(name string) bool {
	if w.base == w.rec {
		return false
	}
	r := w.run.ref(name)
	before, _, had := match.Lookup(&r.res, w.rec)
	after, _, has := match.Lookup(&r.res, w.base)
	return had && (!has || before != after)
}

// Err returns the error that a stage left, one of the Err constants, and what
// it says of the cause; or "".
func (w *Row) Err() (kind, details string) { return w.errors[0], w.errors[1] }

// Stored returns the stored fields that the stages left alone: neither dropped
// nor replaced by a made field that is written the same way. The slice belongs to
// the record, or is new.
func (w *Row) Stored() []record.Field {
	replaced := func(f *record.Field) bool { return len(w.made) > 0 && w.find(written(f.Name)) >= 0 }
	fields := w.base.Fields
	if w.base == w.rec && !slices.ContainsFunc(fields, func(f record.Field) bool { return replaced(&f) }) {
		return fields
	}
	out := make([]record.Field, 0, len(fields))
	for i := range fields {
		if !replaced(&fields[i]) {
			out = append(out, fields[i])
		}
	}
	return out
}

// Fields returns the record's fields after all stages, detached: what is stored
// and was not dropped, with what was made in place of or after it as texts, and
// with a changed line as the body. The record that went in lends the rest.
func (w *Row) Fields() []record.Field {
	stored, labels := w.Stored(), w.Labels()
	if len(labels) == 0 && !w.changed {
		return stored
	}
	out := make([]record.Field, 0, len(stored)+len(labels)+1)
	for i := range stored {
		if !w.changed || stored[i].Name != record.Body {
			out = append(out, stored[i])
		}
	}
	for _, l := range labels {
		out = append(out, record.Field{Name: l.Name, Value: record.StringValue(l.Value)})
	}
	if w.changed {
		out = append(out, record.Field{Name: record.Body, Value: record.StringValue(w.line)})
	}
	return out
}

// Gone returns the stored names of the fields that were dropped, or nil.
func (w *Row) Gone() []string {
	if w.base == w.rec {
		return nil
	}
	var out []string
	kept := w.base.Fields
	for i := range w.rec.Fields {
		if f := &w.rec.Fields[i]; len(kept) > 0 && *f == kept[0] {
			kept = kept[1:]
		} else {
			out = append(out, f.Name)
		}
	}
	return out
}

// errorNames are the fields that Row.errors holds.
var errorNames = [2]string{ErrorName, DetailsName}

func (w *Row) fail(kind, details string) {
	if len(details) > maxDetails {
		details = details[:maxDetails]
	}
	w.errors = [2]string{kind, details}
}

// maxDetails bounds what an error says, in bytes.
const maxDetails = 512

// set makes a field, or changes it.
func (w *Row) set(name, value string) {
	if i := slices.Index(errorNames[:], name); i >= 0 {
		w.errors[i] = value
		return
	}
	if i := w.find(name); i >= 0 {
		w.made[i].Value = value
		return
	}
	if len(w.made) < maxMade {
		w.made = append(w.made, Label{name, value})
	}
}

// maxMade bounds the fields that a pipeline makes of one record; what comes
// later is left out.
const maxMade = 2000

// extracted is the end of a made name that the record has already.
const extracted = "_extracted"

// extract makes a field that a parser found under a key. A stored field that is
// written the same way keeps its name, and so does a stream label; a value that
// is stored so already is not made again. (A name that only means a stored field,
// as msg means body, is free: what the line says is what Loki's users ask for.)
// from is the number of fields that earlier stages made: of one stage's values of
// a name the first stays.
func (w *Row) extract(r *ref, value string, from int) {
	if r.ident == "" || r.error >= 0 {
		return
	}
	name := r.ident
	if text := w.taken(r); text == value && text != "" {
		return
	} else if text != "" {
		name = r.extracted
	}
	if w.find(name) >= from {
		return
	}
	w.set(name, value)
}

// taken returns the text of what is stored under a made field's name, or "".
func (w *Row) taken(r *ref) string {
	if r.label {
		v, _, _ := match.Lookup(&r.own, w.rec)
		return v.Text()
	}
	fields := w.rec.Fields
	if w.taking++; w.taking > few && len(fields) > few {
		i, ok := w.index()[r.ident]
		if !ok {
			return ""
		}
		fields = fields[i:]
	}
	for i := range fields {
		f := &fields[i]
		if schema.SameName(r.ident, f.Name) && f.Name != record.Labels {
			if text := f.Value.Text(); text != "" {
				return text
			}
		}
	}
	return ""
}

// index returns the place of the first stored field of each written name.
func (w *Row) index() map[string]int {
	if w.taking == few+1 || w.stored == nil {
		if w.stored == nil {
			w.stored = map[string]int{}
		}
		clear(w.stored)
		for i := range w.rec.Fields {
			name := written(w.rec.Fields[i].Name)
			if _, ok := w.stored[name]; !ok {
				w.stored[name] = i
			}
		}
	}
	return w.stored
}

// remove takes a made field and the stored ones that the name means away.
func (w *Row) remove(r *ref) {
	if r.error >= 0 {
		w.errors[1] = "" // details of no error say nothing
		w.errors[r.error] = ""
		return
	}
	w.forget(func(l Label) bool { return l.Name == r.ident })
	for i := range w.base.Fields {
		if _, _, ok := r.res.Match(w.base.Fields[i].Name); ok {
			w.hide(func(f *record.Field) bool { _, _, ok := r.res.Match(f.Name); return ok })
			return
		}
	}
}

// forget takes made fields away.
func (w *Row) forget(which func(Label) bool) {
	w.made = slices.DeleteFunc(w.made, which)
	w.places.known = 0
}

// hide drops stored fields.
func (w *Row) hide(drop func(*record.Field) bool) {
	if w.base == w.rec {
		fields := w.view.Fields[:0]
		w.view = *w.rec
		w.view.Fields = append(fields, w.rec.Fields...)
		w.base = &w.view
	}
	kept := w.view.Fields[:0]
	for i := range w.view.Fields {
		if !drop(&w.view.Fields[i]) {
			kept = append(kept, w.view.Fields[i])
		}
	}
	clear(w.view.Fields[len(kept):])
	w.view.Fields = kept
}

// A ref is a name that someone asked for, resolved.
type ref struct {
	name      string
	ident     string // as LogQL writes it, and as made fields are called
	extracted string
	res       schema.Resolution
	mul       float64 // of a made field of this name
	error     int     // place in Row.errors, or -1
	label     bool    // ident is a stream label, which own resolves
	own       schema.Resolution
}

func newRef(name string) *ref {
	r := &ref{name: name, ident: identifier(name), res: schema.Resolve(name), mul: 1}
	r.extracted = r.ident + extracted
	r.error = slices.Index(errorNames[:], name)
	r.label = slices.ContainsFunc(schema.StreamLabels(), func(l schema.StreamLabel) bool { return l.Label == r.ident })
	r.own = schema.Resolve(r.ident)
	if mul, _, ok := r.res.Match(r.ident); ok {
		r.mul = mul
	}
	return r
}

// written returns the identifier that is schema.SameName with a stored name.
func written(stored string) string {
	for i := 0; i < len(stored); i++ {
		if !isIdent(rune(stored[i])) {
			out := []byte(stored)
			for ; i < len(out); i++ {
				if !isIdent(rune(out[i])) {
					out[i] = '_'
				}
			}
			return string(out)
		}
	}
	return stored
}

// identifier writes a key as LogQL can: with '_' for what is no ASCII letter,
// digit or '_', and before a leading digit.
func identifier(key string) string {
	key = trimSpace(key)
	ok := key != "" && (key[0] < '0' || key[0] > '9')
	for i := 0; i < len(key) && ok; i++ {
		ok = isIdent(rune(key[i]))
	}
	if ok || key == "" {
		return key
	}
	out := make([]byte, 0, len(key)+1)
	if key[0] >= '0' && key[0] <= '9' {
		out = append(out, '_')
	}
	for _, c := range key {
		if !isIdent(c) {
			c = '_'
		}
		out = append(out, byte(c))
	}
	return string(out)
}

func isIdent(c rune) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

func trimSpace(s string) string {
	for s != "" && (s[0] == ' ' || s[0] >= '\t' && s[0] <= '\r') {
		s = s[1:]
	}
	for s != "" && (s[len(s)-1] == ' ' || s[len(s)-1] >= '\t' && s[len(s)-1] <= '\r') {
		s = s[:len(s)-1]
	}
	return s
}
