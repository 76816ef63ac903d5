package elastic

import (
	"bytes"
	"net/http"
	"strconv"
	"strings"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/pipeline"
	"github.com/meshtrail/meshtrail/internal/receive"
	"github.com/meshtrail/meshtrail/internal/receive/jsontext"
	"github.com/meshtrail/meshtrail/internal/record"
)

// Fields that keep what an action line says of its document.
const (
	IndexField = "elastic.index"
	IDField    = "elastic.id"
)

// defaultIndex is answered for an action that names no index; Elasticsearch
// would refuse it, but a client library needs the field.
const defaultIndex = "meshtrail"

// op is an action's verb.
type op uint8

const (
	opIndex op = iota
	opCreate
	opUpdate
	opDelete
	opBad // an action line that cannot be read
)

var opNames = [...]string{opIndex: "index", opCreate: "create", opUpdate: "update", opDelete: "delete", opBad: "index"}

// problem is why an item was refused here rather than by the pipeline.
type problem uint8

const (
	noProblem problem = iota
	badAction
	noSource
	noDoc
	isDelete
)

var problems = [...]struct{ kind, reason string }{
	badAction: {"illegal_argument_exception", "Malformed action/metadata line"},
	noSource:  {"action_request_validation_exception", "the action has no source line"},
	noDoc:     {"document_parsing_exception", "update without a doc object; scripts are not supported"},
	isDelete:  {"illegal_argument_exception", "delete is not supported: records are append-only"},
}

// item is one action, in order.
type item struct {
	op    op
	prob  problem
	raw   int32 // index into the set's Raws, -1 if none
	index string
	id    string
}

// bulk is the state of one request. It is pooled.
type bulk struct {
	items  []item
	answer []byte
	refs   []int32 // by raw: index+1 of its refusal

	// The last action line, because most requests repeat one.
	line  []byte
	last  item
	attrs []record.Field
}

func (e *Receiver) takeBulk() *bulk {
	if b, _ := e.bulks.Get().(*bulk); b != nil {
		return b
	}
	return &bulk{}
}

func (e *Receiver) giveBulk(b *bulk) {
	if cap(b.items) > 1<<17 || cap(b.answer) > 8<<20 {
		return
	}
	clear(b.items)
	b.items, b.answer, b.refs = b.items[:0], b.answer[:0], b.refs[:0]
	b.line, b.last, b.attrs = nil, item{}, nil
	e.bulks.Put(b)
}

// bulk answers POST /_bulk.
func (e *Receiver) bulk(w http.ResponseWriter, r *http.Request) error {
	start := e.now()
	b := e.takeBulk()
	defer e.giveBulk(b)
	decode := func(body *receive.Body, set *receive.Set) error {
		index := r.PathValue("index")
		if err := b.decode(body.Bytes, index, set, e.inlet.Limits); err != nil || !b.named() {
			return err
		}
		set.Key = [][]byte{[]byte(index), body.Bytes}
		return nil
	}
	return e.inlet.Receive(r, r.Header.Get("Content-Encoding"), decode, func(t *receive.Taken) error {
		took, brief := e.now().Sub(start).Milliseconds(), false
		if strings.Contains(r.URL.RawQuery, "filter_path=") {
			var timed bool
			if brief, timed = filterPath(r.URL.Query().Get("filter_path")).bulk(); brief && !timed {
				took = -1
			}
		}
		b.respond(took, t.Refused, len(t.Set.Raws), brief)
		return writeCode(w, http.StatusOK, b.answer, !brief)
	})
}

// decode reads the action and source lines of a body. A body whose first line
// is no action is refused as a whole, as Elasticsearch does; a broken action
// later on is an item of its own, because what came before it is good.
func (b *bulk) decode(body []byte, index string, set *receive.Set, lim receive.Limits) error {
	for n := 1; len(body) > 0; n++ {
		var line []byte
		line, body = nextLine(body)
		if len(line) == 0 {
			continue
		}
		if len(b.items) == lim.Items || set.Full() {
			return fault.Errorf(fault.TooLarge, "bulk request has more than %d actions", len(b.items))
		}
		it, attrs, ok := b.action(line, index, set, lim)
		if !ok && len(b.items) == 0 {
			return fault.Errorf(fault.Invalid, "Malformed action/metadata line [%d], expected an object with one of index, create, update, delete", n)
		}
		switch it.op {
		case opDelete:
			it.prob = isDelete
		case opBad:
			it.prob = badAction
			body = b.resync(body)
			set.Reject("malformed_action", problems[badAction].reason, 1)
		default:
			var src []byte
			src, body = nextLine(body)
			b.source(&it, src, attrs, set, lim)
		}
		b.items = append(b.items, it)
	}
	if len(b.items) == 0 {
		return fault.Errorf(fault.Invalid, "request body is required")
	}
	return nil
}

// named reports whether every action names its document. Elasticsearch keeps one
// document of a name, so the same request again is a repetition: the client did
// not get the answer to the first. Without names it would be new documents.
func (b *bulk) named() bool {
	for i := range b.items {
		if b.items[i].id == "" {
			return false
		}
	}
	return true
}

// source adds the record of an action.
func (b *bulk) source(it *item, src []byte, attrs []record.Field, set *receive.Set, lim receive.Limits) {
	switch {
	case len(src) == 0:
		it.prob = noSource
		set.Reject("no_source", problems[noSource].reason, 1)
		return
	case it.op == opUpdate:
		if src = updateDoc(src, lim, set); src == nil {
			it.prob = noDoc
			set.Reject("unsupported_update", problems[noDoc].reason, 1)
			return
		}
	}
	it.raw = int32(len(set.Raws))
	set.Raws = append(set.Raws, record.Raw{Payload: src, JSON: true, Attrs: attrs})
}

// action reads an action line. An unreadable one is of op opBad, and not ok.
func (b *bulk) action(line []byte, index string, set *receive.Set, lim receive.Limits) (item, []record.Field, bool) {
	if b.line != nil && bytes.Equal(line, b.line) {
		return b.last, b.attrs, true
	}
	it := item{op: opBad, raw: -1, index: index}
	j := jsontext.NewReader(line, lim.Depth, set)
	if !j.Begin('{') {
		return it, nil, false
	}
	verb, _ := j.Field()
	found := opBad
	for o := opIndex; o < opBad; o++ {
		if string(verb) == opNames[o] {
			found = o
		}
	}
	if found == opBad || !j.Begin('{') {
		return it, nil, false
	}
	for {
		key, ok := j.Field()
		if !ok {
			break
		}
		switch string(key) {
		case "_index":
			it.index = receive.Str(j.Text())
		case "_id":
			it.id = receive.Str(j.Text())
		default:
			j.Raw()
		}
	}
	for { // winston-elasticsearch counts its attempts here; Elasticsearch takes it
		if _, more := j.Field(); !more {
			break
		}
		j.Raw()
	}
	if j.End(); j.Err() != nil {
		it.index, it.id = index, ""
		return it, nil, false
	}
	it.op = found
	set.Open()
	if it.index != "" {
		set.Field(IndexField, it.index)
	}
	if it.id != "" {
		set.Field(IDField, it.id)
	}
	b.line, b.last, b.attrs = line, it, set.Close()
	return it, b.attrs, true
}

// resync skips the line after a broken action line unless it is an action: it
// is the source of the broken one.
func (b *bulk) resync(body []byte) []byte {
	line, rest := nextLine(body)
	for _, name := range opNames[:opBad] {
		if head := bytes.TrimLeft(line, "{ \t\""); bytes.HasPrefix(head, []byte(name)) && bytes.HasPrefix(bytes.TrimLeft(head[len(name):], "\" \t"), []byte(":")) {
			return body
		}
	}
	return rest
}

// updateDoc returns the doc of an update's source, nil if it has none.
func updateDoc(src []byte, lim receive.Limits, set *receive.Set) []byte {
	j := jsontext.NewReader(src, lim.Depth, set)
	var doc []byte
	if !j.Begin('{') {
		return nil
	}
	for {
		key, ok := j.Field()
		if !ok {
			break
		}
		object := j.Peek() == '{'
		if v := j.Raw(); object && string(key) == "doc" {
			doc = v
		}
	}
	if j.End(); j.Err() != nil {
		return nil
	}
	return doc
}

// nextLine returns the line without its end, and the rest.
func nextLine(b []byte) (line, rest []byte) {
	if n := bytes.IndexByte(b, '\n'); n >= 0 {
		line, rest = b[:n], b[n+1:]
	} else {
		line = b
	}
	if n := len(line); n > 0 && line[n-1] == '\r' {
		line = line[:n-1]
	}
	return line, rest
}

// respond writes the answer: compact, and "errors" right before "items", which
// is the text that Fluent Bit looks for in a long answer. brief leaves out what
// a client that filters the answer does not read; took is left out below 0.
func (b *bulk) respond(took int64, refused []pipeline.Refusal, raws int, brief bool) {
	b.refs = b.refs[:0]
	if len(refused) > 0 {
		b.refs = append(b.refs, make([]int32, raws)...)
		for i := range refused {
			if n := refused[i].Index; n >= 0 && n < raws {
				b.refs[n] = int32(i + 1)
			}
		}
	}
	failed := len(refused) > 0
	for i := range b.items {
		failed = failed || b.items[i].prob != noProblem
	}
	a := append(b.answer[:0], '{')
	if took >= 0 {
		a = append(a, `"took":`...)
		a = strconv.AppendInt(a, took, 10)
		a = append(a, ',')
	}
	a = append(a, `"errors":`...)
	a = strconv.AppendBool(a, failed)
	a = append(a, `,"items":[`...)
	last := 0 // where the answer of the item before begins
	for i := range b.items {
		if i > 0 {
			a = append(a, ',')
		}
		start := len(a)
		if i > 0 && b.alike(&b.items[i-1], &b.items[i]) {
			a = append(a, a[last:start-1]...)
		} else {
			a = b.appendItem(a, &b.items[i], refused, brief)
		}
		last = start
	}
	b.answer = append(a, "]}"...)
}

// alike reports whether two items have one answer: both were kept, in the same
// way, and have no name of their own.
func (b *bulk) alike(x, y *item) bool {
	if x.op != y.op || x.prob != noProblem || y.prob != noProblem || x.id != "" || y.id != "" || x.index != y.index {
		return false
	}
	return len(b.refs) == 0 || x.raw >= 0 && y.raw >= 0 && b.refs[x.raw] == 0 && b.refs[y.raw] == 0
}

func (b *bulk) appendItem(a []byte, it *item, refused []pipeline.Refusal, brief bool) []byte {
	a = append(a, `{"`...)
	a = append(a, opNames[it.op]...)
	a = append(a, `":{`...)
	if !brief {
		a = append(a, `"_index":`...)
		if it.index == "" {
			a = append(a, `"`+defaultIndex+`"`...)
		} else {
			a = jsontext.AppendString(a, []byte(it.index))
		}
		if it.id != "" {
			a = append(a, `,"_id":`...)
			a = jsontext.AppendString(a, []byte(it.id))
		}
		a = append(a, ',')
	}
	switch {
	case it.prob != noProblem:
		p := &problems[it.prob]
		return appendError(a, p.kind, "", p.reason)
	case it.raw >= 0 && len(b.refs) > 0 && b.refs[it.raw] > 0:
		r := &refused[b.refs[it.raw]-1]
		kind := "document_parsing_exception"
		if r.Reason == "too_large" {
			kind = "illegal_argument_exception"
		}
		return appendError(a, kind, r.Reason, r.Detail)
	case brief:
		return append(a, `"status":201}}`...)
	}
	return append(a, `"_version":1,"result":"created","status":201}}`...)
}

func appendError(a []byte, kind, word, detail string) []byte {
	a = append(a, `"status":400,"error":{"type":"`...)
	a = append(a, kind...)
	a = append(a, `","reason":`...)
	if word != "" {
		if detail != "" {
			word += ": "
		}
		detail = word + detail
	}
	a = jsontext.AppendString(a, []byte(detail))
	return append(a, "}}}"...)
}
