package normalise

import (
	"strconv"
	"unicode/utf8"

	"github.com/meshtrail/meshtrail/internal/normalise/envoy"
	"github.com/meshtrail/meshtrail/internal/normalise/facts"
	"github.com/meshtrail/meshtrail/internal/normalise/jsonscan"
	"github.com/meshtrail/meshtrail/internal/record"
)

// operands is the scratch of records whose attributes are Envoy's operators.
type operands struct {
	seen    *facts.Attributes // their marks are Envoy's keys
	keys    []envoy.Key       // of the attributes
	names   []*operandName    // by the place of the attribute, as the record before had them
	members []jsonscan.Member // what the slots hold
	text    []byte            // of their values
	rest    []record.Field    // attributes that are no operator
}

// operandName is the name of an attribute in the form that a member's has.
type operandName struct {
	attr *facts.Attribute
	name jsonscan.Name
}

// operandForeign is in the mark of a name that Istio spells otherwise.
const operandForeign = 0x80

func markOperator(name string) uint8 {
	mark := uint8(envoy.KeyOf(name))
	if envoy.Foreign(name) {
		mark |= operandForeign
	}
	return mark
}

// operators reads a record that has attributes and no payload, as Envoy's
// OpenTelemetry access logger sends where only attributes are configured. Those
// that are named as operators are put into n.envoy, as members of a JSON object
// would be. It returns the attributes that are left, and whether the record is an
// access log: if the names are none of Envoy's, or a value is not UTF-8, it is
// none, and all are left.
func (n *Normaliser) operators(attrs []record.Field, declared string) (rest []record.Field, access bool) {
	u := &n.operands
	strong, all, size, flags, other := 0, 0, 0, false, false
	u.keys = u.keys[:0]
	last := u.seen.Begin()
	for i := range attrs {
		k := envoy.None
		if name := attrs[i].Name; len(name) <= jsonscan.MaxName {
			last = u.seen.Next(last, name)
			k = envoy.Key(last.Mark &^ operandForeign)
		}
		if u.keys = append(u.keys, k); k == envoy.None {
			continue
		}
		if v := &attrs[i].Value; v.Kind == record.String {
			if size += len(v.Str); !utf8.ValidString(v.Str) {
				return attrs, false
			}
		}
		u.name(i, last)
		all++
		flags = flags || k == envoy.Flags
		other = other || last.Mark&operandForeign != 0
		if k.Strong() {
			strong++
		}
	}
	if !envoy.Match(strong, all, 0, flags, false) && !(envoy.Family(declared) && envoy.Match(strong, all, 0, flags, true)) {
		return attrs, false
	}
	return n.operate(attrs, all, size, other), true
}

// name remembers the name of the attribute at a place.
func (u *operands) name(at int, attr *facts.Attribute) {
	for len(u.names) <= at {
		u.names = append(u.names, nil)
	}
	if have := u.names[at]; have == nil || have.attr != attr {
		u.names[at] = &operandName{attr: attr, name: jsonscan.Name{Text: attr.Name}}
	}
}

// maxDigits bounds the digits of a number's text.
const maxDigits = 24

// operate fills the slots, and returns the attributes that have none. all is how
// many are operators, size the bytes of their texts.
func (n *Normaliser) operate(attrs []record.Field, all, size int, other bool) []record.Field {
	u, a := &n.operands, &n.envoy
	a.Reset()
	if u.rest = u.rest[:0]; cap(u.members) < all {
		u.members = make([]jsonscan.Member, 0, 2*all)
	}
	if need := size + maxDigits*all; cap(u.text) < need {
		u.text = make([]byte, 0, 2*need)
	}
	u.members, u.text = u.members[:0], u.text[:0]
	for i := range attrs {
		f, k := &attrs[i], u.keys[i]
		if k == envoy.None {
			u.rest = append(u.rest, *f)
			continue
		}
		u.members = append(u.members, jsonscan.Member{Name: &u.names[i].name})
		m, from := &u.members[len(u.members)-1], len(u.text)
		switch f.Value.Kind {
		case record.String:
			m.Kind = jsonscan.String
			u.text = append(u.text, f.Value.Str...)
		case record.Int:
			m.Kind, m.Int = jsonscan.Int, f.Value.Int
			u.text = strconv.AppendInt(u.text, m.Int, 10)
		case record.Float:
			m.Kind, m.Float = jsonscan.Float, f.Value.Flt
			u.text = strconv.AppendFloat(u.text, m.Float, 'g', -1, 64)
		default:
			m.Kind = jsonscan.Bool
		}
		m.Text = u.text[from:len(u.text):len(u.text)]
		if !a.Set(k, m) {
			u.rest = append(u.rest, *f)
		}
	}
	if other {
		a.NotIstio()
	}
	return u.rest
}

// familyOf returns the platform if it is one of Envoy's, else "".
func familyOf(declared string) string {
	if envoy.Family(declared) {
		return declared
	}
	return ""
}
