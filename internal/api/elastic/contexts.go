package elastic

import (
	"crypto/rand"
	"encoding/base64"
	"maps"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/meshtrail/meshtrail/internal/access"
	"github.com/meshtrail/meshtrail/internal/fault"
)

// Bounds of what is remembered between requests.
const (
	maxContexts   = 500
	maxHeld       = 32 << 20 // bytes of bodies
	defaultKeep   = 5 * time.Minute
	maxKeep       = 24 * time.Hour
	maxScrollBody = 1 << 20
)

// A held context is a point in time or a scroll: what its searches see ends with a
// place in the order of commits, so that what is written meanwhile does not show.
type held struct {
	owner   string // who may use it
	indices *indexSet
	upTo    uint64
	expires time.Time

	// Of a scroll: the search, and where its next page begins. All but after are
	// never changed.
	scroll bool
	body   object
	v      url.Values
	size   int
	after  []any
}

// contexts are those that are open. The zero value is ready to use.
type contexts struct {
	mu    sync.Mutex
	m     map[string]*held
	bytes int
}

// ownerOf says who may use what a caller opened: the caller.
func ownerOf(scope access.Scope) string { return string(scope.Tenant()) + "\x00" + scope.Principal() }

func (c *contexts) open(h *held, now time.Time) (string, error) {
	var b [24]byte
	rand.Read(b[:])
	id := base64.RawURLEncoding.EncodeToString(b[:])
	c.mu.Lock()
	defer c.mu.Unlock()
	for k, old := range c.m {
		if now.After(old.expires) {
			c.drop(k)
		}
	}
	if len(c.m) >= maxContexts || c.bytes+h.size > maxHeld {
		return "", tooMany("rejected_execution_exception", "Trying to create too many contexts. Must be less than or equal to: [%d]. Close those that are not needed.", maxContexts)
	}
	if c.m == nil {
		c.m = map[string]*held{}
	}
	c.m[id] = h
	c.bytes += h.size
	return id, nil
}

func (c *contexts) drop(id string) {
	if h, ok := c.m[id]; ok {
		c.bytes -= h.size
		delete(c.m, id)
	}
}

// find returns a context and keeps it for longer.
func (c *contexts) find(scope access.Scope, id string, keep time.Duration, now time.Time) (held, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	h, ok := c.m[id]
	if !ok || h.owner != ownerOf(scope) || now.After(h.expires) {
		return held{}, problemAt(404, "search_context_missing_exception", "No search context found for id ["+short(id)+"]")
	}
	if keep > 0 {
		h.expires = now.Add(keep)
	}
	return *h, nil
}

// move says where the next page of a scroll begins.
func (c *contexts) move(id string, after []any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if h, ok := c.m[id]; ok {
		h.after = after
	}
}

// closeAll closes contexts of the caller and returns how many there were. "_all"
// is every scroll of the caller.
func (c *contexts) closeAll(scope access.Scope, ids []string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for id, h := range c.m {
		if h.owner == ownerOf(scope) && (slices.Contains(ids, id) || slices.Contains(ids, "_all") && h.scroll) {
			c.drop(id)
			n++
		}
	}
	return n
}

func problemAt(status int, kind, reason string) error {
	k := fault.Invalid
	if status == 404 {
		k = fault.NotFound
	}
	return fault.Wrap(k, &problem{kind: kind, reason: reason, status: status})
}

func keepAlive(v any, none time.Duration) (time.Duration, error) {
	if s, ok := textOf(v); !ok || s == "" {
		return none, nil
	}
	d, err := durationOf("keep_alive", v)
	if err != nil {
		return 0, err
	}
	if d > maxKeep || d <= 0 {
		return 0, badf("illegal_argument_exception", "Keep alive for request (%s) is too large. It must be less than (24h).", d)
	}
	return d, nil
}

func (c *call) openPIT() (any, error) {
	keep, err := keepAlive(c.v.Get("keep_alive"), defaultKeep)
	if err != nil {
		return nil, err
	}
	set, err := c.indices()
	if err != nil {
		return nil, err
	}
	s := &search{indices: set, cond: nothing, track: -1, order: newest(), text: "open a point in time"}
	if _, err := c.d.answer(c.r.Context(), c.scope, s, c.r.RemoteAddr); err != nil {
		return nil, err // a missing index, or one that is not for the caller
	}
	now := c.d.o.Engine.Now()
	id, err := c.d.contexts.open(&held{owner: ownerOf(c.scope), indices: set, upTo: max(1, c.d.o.Horizon()), expires: now.Add(keep)}, now)
	if err != nil {
		return nil, err
	}
	return object{{"id", id}, {"_shards", object{{"total", 1}, {"successful", 1}, {"skipped", 0}, {"failed", 0}}}}, nil
}

func (c *call) closePIT() (any, error) {
	body, err := parse(c.body)
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, v := range list(body.get("id")) {
		if s, ok := v.(string); ok && s != "_all" {
			ids = append(ids, s)
		}
	}
	return c.freed(c.d.contexts.closeAll(c.scope, ids)), nil
}

func (c *call) freed(n int) any {
	o := object{{"succeeded", true}, {"num_freed", n}}
	if n == 0 {
		return missing(o)
	}
	return o
}

// beginScroll answers the first page of a scroll.
func (c *call) beginScroll(body object, set *indexSet) (any, error) {
	keep, err := keepAlive(c.v.Get("scroll"), defaultKeep)
	if err != nil {
		return nil, err
	}
	if len(c.body) > maxScrollBody {
		return nil, fault.Errorf(fault.TooLarge, "the body of a scroll exceeds %d bytes", maxScrollBody)
	}
	v := url.Values{}
	for key, vals := range c.v {
		if key != "scroll" && key != "from" {
			v[key] = vals
		}
	}
	now := c.d.o.Engine.Now()
	h := &held{owner: ownerOf(c.scope), indices: set, upTo: max(1, c.d.o.Horizon()), expires: now.Add(keep), scroll: true, body: body, v: v, size: len(c.body)}
	o, after, err := c.page(h)
	if err != nil {
		return nil, err
	}
	h.after = after
	id, err := c.d.contexts.open(h, now)
	if err != nil {
		return nil, err
	}
	return append(object{{"_scroll_id", id}}, o...), nil
}

// page answers one page of a scroll, and where the next one begins.
func (c *call) page(h *held) (object, []any, error) {
	s, err := c.d.readSearch(slices.Clone(h.body), h.v, h.indices, string(write(nil, h.body)))
	if err != nil {
		return nil, nil, err
	}
	if s.from > 0 {
		return nil, nil, badf("action_request_validation_exception", "Validation Failed: 1: using [from] is not allowed in a scroll context;")
	}
	if s.size == 0 || s.after != nil {
		return nil, nil, badf("action_request_validation_exception", "Validation Failed: 1: [size] cannot be [0] and [search_after] is not allowed in a scroll context;")
	}
	s.track, s.upTo = exactTotal, h.upTo
	if n := len(s.order.keys); s.order.keys[n-1].kind != byPlace {
		s.order.keys = append(s.order.keys, s.tie())
	}
	if h.after != nil {
		s.aggs = nil // only the first page has them
		for i, v := range h.after {
			d := &dateReader{now: c.d.o.Engine.Now(), format: s.order.keys[i].format}
			k, err := s.order.keys[i].after(v, d)
			if err != nil {
				return nil, nil, err
			}
			s.after = append(s.after, k)
		}
	}
	r, err := c.d.answer(c.r.Context(), c.scope, s, c.r.RemoteAddr)
	if err != nil {
		return nil, nil, err
	}
	after := h.after
	if n := len(r.hits); n > 0 {
		after = nil
		for i := range r.hits[n-1].keys {
			after = append(after, jsonOf(s.order.keys[i].show(&r.hits[n-1].keys[i])))
		}
	}
	return r.body(time.Since(c.start)), after, r.watch.Err()
}

// jsonOf returns a value as it would be read again.
func jsonOf(v any) any {
	o, err := parse(append(write([]byte(`{"v":`), v), '}'))
	if err != nil {
		return v
	}
	return o.get("v")
}

// scroll answers the next page.
func (c *call) scroll() (any, error) {
	body, err := parse(c.body)
	if err != nil {
		return nil, err
	}
	id, _ := body.get("scroll_id").(string)
	if id == "" {
		id = c.v.Get("scroll_id")
	}
	wait := body.get("scroll")
	if wait == nil {
		wait = c.v.Get("scroll")
	}
	keep, err := keepAlive(wait, 0)
	if err != nil {
		return nil, err
	}
	h, err := c.d.contexts.find(c.scope, id, keep, c.d.o.Engine.Now())
	if err != nil {
		return nil, err
	}
	if !h.scroll {
		return nil, problemAt(404, "search_context_missing_exception", "No search context found for id ["+short(id)+"]")
	}
	if isSet(c.v, "rest_total_hits_as_int") {
		h.v = maps.Clone(h.v)
		h.v.Set("rest_total_hits_as_int", "true")
	}
	o, after, err := c.page(&h)
	if err != nil {
		return nil, err
	}
	c.d.contexts.move(id, after)
	return append(object{{"_scroll_id", id}}, o...), nil
}

func (c *call) clearScroll() (any, error) {
	body, err := parse(c.body)
	if err != nil {
		return nil, err
	}
	var ids []string
	if id := c.r.PathValue("id"); id != "" {
		ids = append(ids, id)
	}
	for _, v := range list(body.get("scroll_id")) {
		if s, ok := v.(string); ok {
			ids = append(ids, s)
		}
	}
	return c.freed(c.d.contexts.closeAll(c.scope, ids)), nil
}
