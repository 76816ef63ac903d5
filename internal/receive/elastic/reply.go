package elastic

import (
	"compress/gzip"
	"net/http"
	"strconv"
	"strings"
	"sync"
)

// A reply is the answer to one request: its bytes are filtered, compressed and
// named as the request asks.
type reply struct {
	http.ResponseWriter
	r *http.Request
}

// Unwrap lets http.ResponseController reach the connection.
func (p *reply) Unwrap() http.ResponseWriter { return p.ResponseWriter }

// Bounds of what is compressed: less is not worth it.
const minGzip = 2 << 10

var zippers = sync.Pool{New: func() any {
	z, _ := gzip.NewWriterLevel(nil, gzip.BestSpeed) // the level is one
	return z
}}

// writeJSON answers 200 with a body.
func writeJSON(w http.ResponseWriter, body []byte) error {
	return writeCode(w, http.StatusOK, body, true)
}

// writeCode answers a body, filtered by the request's filter_path unless it was
// already.
func writeCode(w http.ResponseWriter, code int, body []byte, filter bool) error {
	p, _ := w.(*reply)
	if p == nil {
		p = &reply{w, nil}
	}
	h := w.Header()
	h.Set("Content-Type", contentType(p.r))
	if filter && p.r != nil && strings.Contains(p.r.URL.RawQuery, "filter_path=") {
		body = filterPath(p.r.URL.Query().Get("filter_path")).apply(body)
	}
	if len(body) >= minGzip && p.r != nil && acceptsGzip(p.r) {
		h.Set("Content-Encoding", "gzip")
		h.Add("Vary", "Accept-Encoding")
		w.WriteHeader(code)
		z := zippers.Get().(*gzip.Writer)
		defer zippers.Put(z)
		z.Reset(p.ResponseWriter)
		if _, err := z.Write(body); err != nil {
			return err
		}
		return z.Close()
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(code)
	_, err := w.Write(body)
	return err
}

func acceptsGzip(r *http.Request) bool {
	for _, v := range r.Header.Values("Accept-Encoding") {
		for part := range strings.SplitSeq(v, ",") {
			name, q, _ := strings.Cut(strings.TrimSpace(part), ";")
			if strings.EqualFold(name, "gzip") && strings.ReplaceAll(q, " ", "") != "q=0" {
				return true
			}
		}
	}
	return false
}

const vendorType = "application/vnd.elasticsearch+json"

// contentType returns the type of an answer in JSON: that of the version which
// the client asked for, as the clients of 8 and 9 do, else plain JSON.
func contentType(r *http.Request) string {
	if r == nil {
		return "application/json"
	}
	_, rest, ok := strings.Cut(r.Header.Get("Accept"), vendorType)
	if !ok {
		return "application/json"
	}
	rest, _, _ = strings.Cut(rest, ",")
	if _, version, ok := strings.Cut(strings.ReplaceAll(rest, " ", ""), "compatible-with="); ok && len(version) == 1 && version >= "7" && version <= "9" {
		return vendorType + ";compatible-with=" + version
	}
	return vendorType
}
