package receive

import "github.com/meshtrail/meshtrail/internal/record"

// Join makes one of the fields that have the same name, where a protocol may give
// one several times: the values of strings are separated by commas, of others the
// first is kept. It changes fs, and writes each value once, into the memory of
// set: a sender that repeats a name a thousand times costs no more than its bytes.
// Names are not empty.
func Join(set *Set, fs []record.Field) []record.Field {
	out := fs[:0]
	for i, f := range fs {
		if f.Name == "" { // joined to one before
			continue
		}
		more := 0
		for j := i + 1; j < len(fs); j++ {
			if fs[j].Name == f.Name {
				more += 1 + len(fs[j].Value.Str)
			}
		}
		if more > 0 {
			f = join(set, f, fs[i+1:], more)
		}
		out = append(out, f)
	}
	return out
}

func join(set *Set, f record.Field, rest []record.Field, more int) record.Field {
	text := append(set.Text(len(f.Value.Str)+more), f.Value.Str...)
	for j := range rest {
		r := &rest[j]
		if r.Name != f.Name {
			continue
		}
		if f.Value.Kind == record.String && r.Value.Kind == record.String {
			text = append(append(text, ','), r.Value.Str...)
		}
		r.Name = ""
	}
	if f.Value.Kind == record.String {
		f.Value.Str = Str(set.Keep(text))
	}
	return f
}
