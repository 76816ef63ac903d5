package elastic

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/meshtrail/meshtrail/internal/access"
	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/httpd"
	"github.com/meshtrail/meshtrail/internal/query"
)

// maxBody bounds a request, before and after it is decompressed.
const maxBody = 8 << 20

type door struct {
	o        Options
	names    catalogue
	contexts contexts
}

// A call is one request on its way.
type call struct {
	d     *door
	r     *http.Request
	v     url.Values
	scope access.Scope
	body  []byte
	start time.Time
	watch *fault.Watch // of who asks
	room  room         // for the hits of all its searches
}

// handle wraps a handler: who asks, the body, the headers and the form of the
// answer are the same for all.
func (d *door) handle(h func(*call) (any, error)) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		scope, err := access.ReadScope(httpd.PrincipalFrom(r.Context()))
		if err != nil {
			return err
		}
		c := &call{d: d, r: r, scope: scope, start: time.Now(), watch: fault.NewWatch(r.Context())}
		if c.v, err = url.ParseQuery(r.URL.RawQuery); err != nil {
			return badf("illegal_argument_exception", "the parameters can not be read: %v", err)
		}
		if c.body, err = readBody(r); err != nil {
			return err
		}
		if src := c.v.Get("source"); src != "" && len(c.body) == 0 {
			c.body = []byte(src)
		}
		answer, err := h(c)
		if err != nil {
			return err
		}
		return c.send(w, answer)
	}
}

// readBody reads a body, gzip or plain.
func readBody(r *http.Request) ([]byte, error) {
	var in io.Reader = r.Body
	switch e := r.Header.Get("Content-Encoding"); e {
	case "", "identity":
	case "gzip", "x-gzip":
		z, err := gzip.NewReader(r.Body)
		if err != nil {
			return nil, badf("parse_exception", "the body is not gzip: %v", err)
		}
		in = z
	default:
		return nil, badf("illegal_argument_exception", "Content-Encoding [%s] is not supported", short(e))
	}
	body, err := io.ReadAll(io.LimitReader(in, maxBody+1))
	switch {
	case err != nil && fault.KindOf(err) == fault.Internal:
		return nil, badf("parse_exception", "the body can not be read: %v", err)
	case err != nil:
		return nil, err
	case len(body) > maxBody:
		return nil, fault.Errorf(fault.TooLarge, "request body exceeds %d bytes", maxBody)
	}
	return body, nil
}

// contentType is the type of an answer: what the client says it wants, where that
// is a form of JSON that Elasticsearch has.
func contentType(r *http.Request) string {
	accept, _, _ := strings.Cut(r.Header.Get("Accept"), ",")
	accept = strings.TrimSpace(accept)
	if strings.HasPrefix(accept, "application/vnd.elasticsearch+json") && len(accept) < 100 && !strings.ContainsAny(accept, "\r\n") {
		return accept
	}
	return "application/json"
}

// plainText is an answer that is no JSON.
type plainText string

// send writes an answer.
func (c *call) send(w http.ResponseWriter, answer any) error {
	h := w.Header()
	h.Set("X-Elastic-Product", "Elasticsearch")
	var b []byte
	status := http.StatusOK
	switch a := answer.(type) {
	case plainText:
		h.Set("Content-Type", "text/plain; charset=UTF-8")
		b = []byte(a)
	case missing:
		status = http.StatusNotFound
		h.Set("Content-Type", contentType(c.r))
		b = write(nil, object(a))
	default:
		h.Set("Content-Type", contentType(c.r))
		if paths := c.v.Get("filter_path"); paths != "" {
			f, err := readFilterPath(paths)
			if err != nil {
				return err
			}
			answer = f.apply(c.watch, answer)
		}
		b = writeWatched(c.watch, nil, answer)
	}
	if err := c.watch.Look(); err != nil {
		return err
	}
	if len(b) > 1<<10 && acceptsGzip(c.r) {
		var z bytes.Buffer
		zw, _ := gzip.NewWriterLevel(&z, gzip.BestSpeed) // the level is valid
		for rest := b; len(rest) > 0; {
			if err := c.watch.Look(); err != nil {
				return err
			}
			n := min(len(rest), pieceBytes)
			_, _ = zw.Write(rest[:n]) // to memory
			rest = rest[n:]
		}
		_ = zw.Close()
		b = z.Bytes()
		h.Set("Content-Encoding", "gzip")
		h.Add("Vary", "Accept-Encoding")
	}
	w.WriteHeader(status)
	if c.r.Method == http.MethodHead {
		return nil
	}
	_, err := w.Write(b)
	return err
}

// pieceBytes of an answer are compressed between two looks at who asks.
const pieceBytes = 256 << 10

// missing is an answer with status 404 that is no error.
type missing object

func acceptsGzip(r *http.Request) bool {
	for part := range strings.SplitSeq(r.Header.Get("Accept-Encoding"), ",") {
		name, q, _ := strings.Cut(strings.TrimSpace(part), ";")
		if name == "gzip" && strings.ReplaceAll(q, " ", "") != "q=0" {
			return true
		}
	}
	return false
}

// indices reads the index expression of the path.
func (c *call) indices() (*indexSet, error) {
	return readIndices([]string{c.r.PathValue("index")}, c.d.o.Engine.Now(), optionsOf(c.v))
}

// ask puts a question of the catalogue on record.
func (c *call) ask(what string, f func(ctx context.Context, a *query.Asking) error) error {
	return c.d.o.Engine.Ask(c.r.Context(), c.scope, query.Question{Text: what, Remote: c.r.RemoteAddr,
		Detail: map[string]string{"index": c.r.PathValue("index")}}, f)
}

// listing returns what the asker's tenant has: a short time ago.
func (d *door) listing(ctx context.Context, scope access.Scope, a *query.Asking) (listing, error) {
	if l, ok := d.names.get(listingKey(scope), d.o.Engine.Now()); ok {
		return l, nil
	}
	return d.list(ctx, scope, a)
}

func listingKey(scope access.Scope) string {
	key := string(scope.Tenant()) + "\x00" + scope.Where().String()
	if scope.MayReadAudit() {
		key += "\x00audit"
	}
	return key
}

// list reads what the asker's tenant has: now.
func (d *door) list(ctx context.Context, scope access.Scope, a *query.Asking) (listing, error) {
	l := listing{at: d.o.Engine.Now()}
	var err error
	if l.indices, err = listIndices(ctx, a); err != nil {
		return l, err
	}
	if l.fields, err = a.Fields(ctx, minTime, maxTime); err != nil {
		return l, err
	}
	d.names.set(listingKey(scope), l)
	return l, nil
}

// checkIndices fails for a name that no index has. What is not known is looked for
// again: it may have come a moment ago.
func (d *door) checkIndices(ctx context.Context, scope access.Scope, a *query.Asking, set *indexSet) error {
	if len(set.must) == 0 && !set.needAny {
		return nil
	}
	l, err := d.listing(ctx, scope, a)
	if err != nil {
		return err
	}
	if set.check(l.has, l.indices) == nil {
		return nil
	}
	if l, err = d.list(ctx, scope, a); err != nil {
		return err
	}
	return set.check(l.has, l.indices)
}

func (l *listing) has(name string) bool {
	for i := range l.indices {
		if l.indices[i].name == name {
			return true
		}
	}
	return false
}
