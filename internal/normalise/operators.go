package normalise

import (
	"unicode/utf8"

	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/normalise/envoy"
	"github.com/meshtrail/meshtrail/internal/normalise/jsonscan"
	"github.com/meshtrail/meshtrail/internal/record"
)

// operators reads a record that has attributes and no payload, as Envoy's
// OpenTelemetry access logger sends where only attributes are configured. Those
// that are named as operators become the members of an object, which is then
// recognised by its shape as any other. It returns the attributes that are left, and
// whether there is an object in n.outer: if the shape is none of Envoy's, or a value
// is not UTF-8, there is none, and all are left.
func (n *Normaliser) operators(attrs []record.Field, declared string) (rest []record.Field, object bool) {
	strong, all, flags := 0, 0, false
	n.keys = n.keys[:0]
	last := n.operator.Begin()
	for i := range attrs {
		k := envoy.None
		if name := attrs[i].Name; len(name) <= jsonscan.MaxName {
			last = n.operator.Next(last, name)
			k = envoy.Key(last.Mark)
		}
		if n.keys = append(n.keys, k); k == envoy.None {
			continue
		}
		if v := &attrs[i].Value; v.Kind == record.String && !utf8.ValidString(v.Str) {
			return attrs, false
		}
		all++
		flags = flags || k == envoy.Flags
		if k.Strong() {
			strong++
		}
	}
	if !envoy.Match(strong, all, flags, false) && !(declared != "" && envoy.Match(strong, all, flags, true)) {
		return attrs, false
	}
	n.members, n.rest = n.members[:0], n.rest[:0]
	for i := range attrs {
		if a := &attrs[i]; n.keys[i] != envoy.None {
			n.members = append(n.members, *a)
		} else {
			n.rest = append(n.rest, *a)
		}
	}
	n.made = match.AppendSorted(n.made[:0], n.members)
	if n.outer.Scan(n.made, n.names) != nil {
		return attrs, false
	}
	return n.rest, true
}

func markOperator(name string) uint8 { return uint8(envoy.KeyOf(name)) }
