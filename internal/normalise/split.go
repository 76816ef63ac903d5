package normalise

import (
	"bytes"
	"encoding/json"

	"github.com/meshtrail/meshtrail/internal/normalise/jsonscan"
	"github.com/meshtrail/meshtrail/internal/record"
)

// MaxElements is how many records a container may hold; one of more stays whole.
const MaxElements = 1 << 16

// Split appends to dst the records that a payload is a container of, and nothing
// when it is none:
//
//	{"Records":[{…},…]}                                a file of CloudTrail
//	{"records":[{…},…]}                                Azure's Event Hubs and storage
//	{"kind":"EventList","apiVersion":"…","items":[…]}  audit.k8s.io, kubectl get events -o json
//	{"messageType":"DATA_MESSAGE",…,"logEvents":[…]}   a subscription of CloudWatch Logs
//	{"resourceLogs":[…]}                               OTLP's logs, as exporters write them to files
//
// Nothing else may stand beside the array but what these have there, and all of
// its elements are objects, so nothing is lost. An element begins without the time
// of the container: it has its own. Its attributes are the container's, and of
// CloudWatch also who it belongs to.
//
// Any other payload costs the look at its first name. What is appended aliases
// raw, but for what CloudWatch and OTLP hold as text.
func Split(dst []record.Raw, raw *record.Raw) []record.Raw {
	p := raw.Payload
	i := skipSpace(p, 0)
	if len(p)-i < 16 || p[i] != '{' {
		return dst
	}
	if p[i+1] == '"' && !begins[p[i+2]] { // as nearly all
		return dst
	}
	name, _, ok := nameAt(p, i+1)
	if !ok {
		return dst
	}
	switch string(name) {
	case "Records", "records":
		return container(dst, raw, i, only)
	case "kind", "apiVersion", "items", "metadata":
		if string(name) == "kind" && bytes.HasPrefix(p[i:], []byte(`{"kind":"Event",`)) {
			return dst // as every audit event begins
		}
		return container(dst, raw, i, list)
	case "resourceLogs":
		return otlp(dst, raw)
	case "messageType", "owner", "logGroup", "logEvents":
		return container(dst, raw, i, subscription)
	}
	return dst
}

// begins are the first bytes of the names above.
var begins = func() (t [256]bool) {
	for _, c := range []byte("Rrkaimol") {
		t[c] = true
	}
	return t
}()

// A frame is what stands around the array of a container.
type frame struct {
	array              []byte // with its brackets
	kind, version      []byte
	owner, group, flow []byte
	data               bool // of CloudWatch: no control message
	members            int
}

// The kinds of containers.
type frameKind uint8

const (
	only frameKind = iota
	list
	subscription
)

// container takes a container apart whose object begins at i.
func container(dst []record.Raw, raw *record.Raw, i int, kind frameKind) []record.Raw {
	p := raw.Payload
	var f frame
	if !f.read(p, i, kind) || len(f.array) == 0 {
		return dst
	}
	switch kind {
	case only:
		if f.members != 1 {
			return dst
		}
	case list:
		if !bytes.HasSuffix(f.kind, []byte("List")) || !bytes.HasPrefix(f.version, []byte("audit.k8s.io")) && !events(&f) {
			return dst
		}
	case subscription:
		if !f.data {
			return dst
		}
		return cloudwatch(dst, raw, &f)
	}
	from := len(dst)
	at := 1
	for {
		at = skipSpace(f.array, at)
		if at >= len(f.array) || f.array[at] != '{' || len(dst)-from >= MaxElements {
			return dst[:from]
		}
		end := skipJSON(f.array, at)
		if end < 0 {
			return dst[:from]
		}
		dst = append(dst, record.Raw{Payload: f.array[at:end:end], JSON: raw.JSON, Attrs: raw.Attrs, Service: raw.Service, Level: raw.Level})
		at = skipSpace(f.array, end)
		if f.array[at] == ']' {
			return dst
		}
		at++ // the comma
	}
}

// events reports whether a list is of events of a cluster. kubectl calls every
// list a List.
func events(f *frame) bool {
	if string(f.kind) == "EventList" {
		return true
	}
	end := skipJSON(f.array, skipSpace(f.array, 1))
	return string(f.kind) == "List" && end > 0 && (bytes.Contains(f.array[:end], []byte(`"involvedObject"`)) || bytes.Contains(f.array[:end], []byte(`"regarding"`)))
}

// read reads the members of the object at i. It is false when they are not those
// of a container.
func (f *frame) read(p []byte, i int, kind frameKind) bool {
	i++
	for {
		name, at, ok := nameAt(p, i)
		if !ok {
			return false
		}
		end := skipJSON(p, at)
		if end < 0 {
			return false
		}
		if f.members++; !f.member(kind, name, p[at:end:end]) {
			return false
		}
		if i = skipSpace(p, end); i >= len(p) {
			return false
		}
		if p[i] == '}' {
			return skipSpace(p, i+1) == len(p)
		}
		i++ // the comma
	}
}

func (f *frame) member(kind frameKind, name, value []byte) bool {
	text := bytes.Trim(value, `"`)
	switch string(name) {
	case "Records", "records", "items", "logEvents":
		f.array = value
		return len(value) > 2 && value[0] == '[' && skipSpace(value, 1) < len(value)-1
	case "kind":
		f.kind = text
	case "apiVersion":
		f.version = text
	case "metadata":
		return kind == list && len(value) < 1024
	case "messageType":
		f.data = string(text) == "DATA_MESSAGE"
	case "owner":
		f.owner = text
	case "logGroup":
		f.group = text
	case "logStream":
		f.flow = text
	case "subscriptionFilters", "policyLevel":
		return kind == subscription
	default:
		return false
	}
	return true
}

// cloudwatch appends the log events of a subscription.
func cloudwatch(dst []record.Raw, raw *record.Raw, f *frame) []record.Raw {
	var logged []struct {
		Timestamp int64
		Message   *string
	}
	if json.Unmarshal(f.array, &logged) != nil || len(logged) > MaxElements {
		return dst
	}
	attrs := append([]record.Field(nil), raw.Attrs...)
	for _, m := range [...]struct {
		name  string
		value []byte
	}{{"cloud.account.id", f.owner}, {"aws.log.group.names", f.group}, {"aws.log.stream.names", f.flow}} {
		if len(m.value) > 0 && !has(raw.Attrs, m.name) {
			attrs = append(attrs, record.Field{Name: m.name, Value: record.StringValue(unquoted(m.value))})
		}
	}
	from := len(dst)
	for i := range logged {
		if logged[i].Message == nil {
			return dst[:from]
		}
		dst = append(dst, record.Raw{
			Payload: bytes.TrimRight([]byte(*logged[i].Message), "\r\n"), Time: logged[i].Timestamp * 1e6,
			Attrs: attrs, Service: raw.Service, Level: raw.Level,
		})
	}
	return dst
}

func has(attrs []record.Field, name string) bool {
	for i := range attrs {
		if attrs[i].Name == name {
			return true
		}
	}
	return false
}

// unquoted returns what a text of JSON without its quotes says.
func unquoted(b []byte) string {
	var s string
	if json.Unmarshal(append(append([]byte{'"'}, b...), '"'), &s) != nil {
		return string(b)
	}
	return s
}

// nameAt reads the name of a member at i, and returns where its value begins.
func nameAt(p []byte, i int) (name []byte, at int, ok bool) {
	i = skipSpace(p, i)
	if i >= len(p) || p[i] != '"' {
		return nil, 0, false
	}
	end := skipText(p, i)
	if end < 0 {
		return nil, 0, false
	}
	at = skipSpace(p, end)
	if at >= len(p) || p[at] != ':' {
		return nil, 0, false
	}
	at = skipSpace(p, at+1)
	return p[i+1 : end-1], at, at < len(p)
}

func skipSpace(p []byte, i int) int {
	for i < len(p) && (p[i] == ' ' || p[i] == '\n' || p[i] == '\t' || p[i] == '\r') {
		i++
	}
	return i
}

// skipText returns where the text that begins at i ends, or -1.
func skipText(p []byte, i int) int {
	for i++; i < len(p); i++ {
		switch p[i] {
		case '"':
			return i + 1
		case '\\':
			i++
		}
	}
	return -1
}

// skipJSON returns where the value that begins at i ends, behind which stands a
// comma or a closing bracket, or -1. It looks at brackets and texts only: what is
// within is read, and perhaps refused, with the element.
func skipJSON(p []byte, i int) int {
	var closing [jsonscan.MaxDepth + 2]byte
	depth := 0
	for ; i < len(p); i++ {
		switch c := p[i]; c {
		case '"':
			if i = skipText(p, i); i < 0 {
				return -1
			}
			i--
		case '{', '[':
			if depth == len(closing) {
				return -1
			}
			closing[depth] = c + 2 // } and ] are two behind { and [
			depth++
		case '}', ']':
			if depth == 0 || closing[depth-1] != c {
				return -1
			}
			depth--
		case ',', ':':
			if depth == 0 {
				return -1
			}
		}
		if depth == 0 {
			end := skipSpace(p, i+1)
			if end >= len(p) || p[end] == ',' || p[end] == '}' || p[end] == ']' {
				if end >= len(p) {
					return -1
				}
				return i + 1
			}
		}
	}
	return -1
}
