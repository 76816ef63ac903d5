package elastic

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net/http"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/receive"
	"github.com/meshtrail/meshtrail/internal/record"
)

// Calls that write one document:
//
//	POST /{index}/_doc                      a name is made up
//	PUT, POST /{index}/_doc/{id}            op_type=create as below
//	PUT, POST /{index}/_create/{id}
//	POST /{index}/_update/{id}              its doc is appended
//
// A document that comes again with the same name and content, because an answer
// was lost, is seen once, as long as it comes within ten minutes or before 65,536
// other keys: create then answers 409, as Elasticsearch does. The same name with other content is
// another record: this store appends, and losing it would be worse than having
// both.

// maxID bounds the name of a document, as in Elasticsearch.
const maxID = 512

// postDoc answers POST /{index}/_doc.
func (e *Receiver) postDoc(w http.ResponseWriter, r *http.Request) error {
	return e.document(w, r, verbOf(r, opIndex), "")
}

// putThree and postThree answer PUT and POST with three segments: a document, or
// a call that changes an index. One pattern each, as for two segments.
func (e *Receiver) putThree(w http.ResponseWriter, r *http.Request) error {
	switch id := r.PathValue("id"); r.PathValue("verb") {
	case "_doc":
		return e.document(w, r, verbOf(r, opIndex), id)
	case "_create":
		return e.document(w, r, opCreate, id)
	case "_alias", "_aliases":
		return e.putAlias(w, r, id)
	case "_block", "_settings", "_mapping":
		return acknowledge(w)
	}
	return e.elsewhere(w, r)
}

func (e *Receiver) postThree(w http.ResponseWriter, r *http.Request) error {
	switch id := r.PathValue("id"); r.PathValue("verb") {
	case "_doc":
		return e.document(w, r, verbOf(r, opIndex), id)
	case "_create":
		return e.document(w, r, opCreate, id)
	case "_update":
		return e.document(w, r, opUpdate, id)
	}
	return e.elsewhere(w, r)
}

func verbOf(r *http.Request, o op) op {
	if r.URL.RawQuery != "" && r.URL.Query().Get("op_type") == "create" {
		return opCreate
	}
	return o
}

// document takes the one document of a request.
func (e *Receiver) document(w http.ResponseWriter, r *http.Request, o op, id string) error {
	index := r.PathValue("index")
	if len(id) > maxID {
		return fault.Errorf(fault.Invalid, "id is too long, must be no longer than %d bytes but was: %d", maxID, len(id))
	}
	own := id != ""
	if !own {
		id = madeUp()
	}
	return e.inlet.Receive(r, r.Header.Get("Content-Encoding"), func(body *receive.Body, set *receive.Set) error {
		src := bytes.TrimSpace(body.Bytes)
		if len(src) == 0 {
			return fault.Errorf(fault.Invalid, "request body is required")
		}
		if o == opUpdate {
			if src = updateDoc(src, e.inlet.Limits, set); src == nil {
				return fault.Errorf(fault.Invalid, "%s", problems[noDoc].reason)
			}
		}
		set.Open()
		set.Field(IndexField, index)
		set.Field(IDField, id)
		set.Raws = append(set.Raws, record.Raw{Payload: src, JSON: true, Attrs: set.Close()})
		if own {
			set.Key = [][]byte{[]byte("document"), []byte(index), []byte(id), src}
		}
		return nil
	}, func(t *receive.Taken) error { return answerDocument(w, o, index, id, t) })
}

func answerDocument(w http.ResponseWriter, o op, index, id string, t *receive.Taken) error {
	again := t.Deduplicated > 0
	switch {
	case len(t.Refused) > 0:
		return writeError(w, http.StatusBadRequest, "document_parsing_exception", t.Refused[0].Reason+": "+t.Refused[0].Detail)
	case o == opCreate && again:
		return writeError(w, http.StatusConflict, "version_conflict_engine_exception",
			fmt.Sprintf("[%s]: version conflict, document already exists (current version [1])", id))
	}
	code, result, version := http.StatusCreated, "created", 1
	if o == opUpdate || again {
		code, result, version = http.StatusOK, "updated", 2
	}
	return writeCode(w, code, fmt.Appendf(nil, `{"_index":%s,"_id":%s,"_version":%d,"result":%q,"_shards":{"total":1,"successful":1,"failed":0},"_seq_no":0,"_primary_term":1}`,
		quote(index), quote(id), version, result), true)
}

// madeUp returns a name of the form that Elasticsearch gives documents.
func madeUp() string {
	var b [15]byte
	rand.Read(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// writeError answers an error that is no failure of the request.
func writeError(w http.ResponseWriter, code int, kind, reason string) error {
	q := quote(reason)
	return writeCode(w, code, fmt.Appendf(nil, `{"error":{"root_cause":[{"type":%q,"reason":%s}],"type":%q,"reason":%s},"status":%d}`, kind, q, kind, q, code), false)
}

// remove answers DELETE of an index or a document: nothing is deleted here.
func (e *Receiver) appendOnly(http.ResponseWriter, *http.Request) error {
	return fault.WithHint(fault.Errorf(fault.Invalid, "records are append-only: nothing is deleted but when its retention ends"), "set policy.retention")
}
