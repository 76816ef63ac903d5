package elastic

import (
	"cmp"
	"encoding/json"
	"math"
	"strings"
	"time"

	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/schema"
)

// What a sort key orders by.
type sortKind uint8

const (
	byField sortKind = iota
	byTime           // @timestamp, in milliseconds as Elasticsearch keeps dates
	byPlace          // _doc, _shard_doc, _id: by identity, which is total
	byScore          // every record has one score
)

// A sortKey is one key of an order.
type sortKey struct {
	kind    sortKind
	field   string
	res     schema.Resolution
	desc    bool
	first   bool // records without the field come first
	missing any  // or count as this
	format  string
}

// A sortValue is what a record is ordered by under one key.
type sortValue struct {
	none  bool
	num   bool
	whole bool
	i     int64
	f     float64
	s     string
	at    identity
}

const maxSortKeys = 16

// readSort reads "field", {"field": "desc"}, {"field": {"order": …}} or a list.
func readSort(v any) ([]sortKey, error) {
	var keys []sortKey
	for _, item := range list(v) {
		switch item := item.(type) {
		case string:
			name, order, _ := strings.Cut(item, ":")
			k, err := newSortKey(name, order, nil)
			if err != nil {
				return nil, err
			}
			keys = append(keys, k)
		case object:
			for _, m := range item {
				order, _ := m.val.(string)
				options, isObject := m.val.(object)
				if isObject {
					order, _ = options.get("order").(string)
				}
				k, err := newSortKey(m.key, order, options)
				if err != nil {
					return nil, err
				}
				keys = append(keys, k)
			}
		default:
			return nil, badf("parsing_exception", "malformed sort format, within the sort array, an object, or an actual string are allowed")
		}
	}
	if len(keys) > maxSortKeys {
		return nil, badf("illegal_argument_exception", "the sort has %d keys, limit %d", len(keys), maxSortKeys)
	}
	return keys, nil
}

func newSortKey(name, order string, options object) (sortKey, error) {
	k := sortKey{field: name}
	switch name {
	case "":
		return k, badf("illegal_argument_exception", "a sort key has no name")
	case timeField:
		k.kind = byTime
	case "_doc", "_shard_doc", idField:
		k.kind = byPlace
	case "_score":
		k.kind, k.desc = byScore, true
	case "_script", "_geo_distance":
		return k, refuse("sort by "+name, "there are no scripts and no places")
	default:
		k.res = schema.Resolve(nameOf(name))
	}
	switch strings.ToLower(order) {
	case "asc":
		k.desc = false
	case "desc":
		k.desc = true
	case "":
	default:
		return k, badf("illegal_argument_exception", "No enum constant for sort order [%s]", short(order))
	}
	if options.has("nested") || options.has("nested_path") {
		return k, refuse("nested sort", "records are flat")
	}
	k.format, _ = options.get("format").(string)
	switch m := options.get("missing"); m {
	case nil, "_last":
	case "_first":
		k.first = true
	default:
		k.missing = m
	}
	return k, nil
}

// value returns what a record is ordered by.
func (k *sortKey) value(r *record.Record) sortValue {
	switch k.kind {
	case byTime:
		return wholeValue(floorDiv(r.Time, int64(time.Millisecond)))
	case byPlace:
		return sortValue{at: identity{r.Time, r.Ord}}
	case byScore:
		return wholeValue(1)
	}
	v, mul, ok := match.Lookup(&k.res, r)
	if !ok {
		if k.missing != nil {
			return readSortValue(k.missing)
		}
		return sortValue{none: true}
	}
	switch v.Kind {
	case record.Int:
		if mul == 1 {
			return wholeValue(v.Int)
		}
		return sortValue{num: true, f: float64(v.Int) / mul}
	case record.Float:
		return sortValue{num: true, f: v.Flt / mul}
	}
	return sortValue{s: strings.Clone(v.Text())} // what is lent is kept
}

func wholeValue(i int64) sortValue { return sortValue{num: true, whole: true, i: i, f: float64(i)} }

// readSortValue reads a value as JSON has it.
func readSortValue(v any) sortValue {
	switch v := v.(type) {
	case nil:
		return sortValue{none: true}
	case json.Number:
		i, f, isInt, ok := match.ParseNumber(v.String())
		if isInt {
			return wholeValue(i)
		}
		if ok {
			return sortValue{num: true, f: f}
		}
	}
	s, _ := textOf(v)
	return sortValue{s: s}
}

// after reads one value of search_after.
func (k *sortKey) after(v any, d *dateReader) (sortValue, error) {
	switch k.kind {
	case byPlace:
		s, _ := v.(string)
		id, ok := parseIdentity(s)
		if !ok {
			return sortValue{}, badf("illegal_argument_exception", "search_after of [%s] must be the sort value of a hit", k.field)
		}
		return sortValue{at: id}, nil
	case byTime:
		m, err := d.value(v)
		return wholeValue(floorDiv(m.from, int64(time.Millisecond))), err
	}
	if _, ok := textOf(v); !ok && v != nil {
		return sortValue{}, badf("illegal_argument_exception", "search_after of [%s] is no scalar", k.field)
	}
	return readSortValue(v), nil
}

// compare orders two values of the key.
func (k *sortKey) compare(a, b *sortValue) int {
	if a.none || b.none {
		switch {
		case a.none && b.none:
			return 0
		case a.none == k.first:
			return -1
		}
		return 1
	}
	var c int
	switch {
	case k.kind == byPlace:
		c = compareIdentity(a.at, b.at)
	case a.num && b.num:
		if a.whole && b.whole {
			c = cmp.Compare(a.i, b.i)
		} else {
			c = cmp.Compare(a.f, b.f)
		}
	case a.num != b.num: // numbers before texts
		c = 1
		if a.num {
			c = -1
		}
	default:
		c = strings.Compare(a.s, b.s)
	}
	if k.desc {
		return -c
	}
	return c
}

// show writes the value as a hit's sort shows it.
func (k *sortKey) show(v *sortValue) any {
	switch {
	case v.none:
		return nil
	case k.kind == byPlace:
		return v.at.String()
	case k.kind == byTime && k.format != "":
		return formatDate(v.i*int64(time.Millisecond), k.format, nil)
	case v.whole:
		return v.i
	case v.num:
		if math.IsNaN(v.f) {
			return nil
		}
		return double(v.f)
	}
	return v.s
}

// A hit is a record with what orders it.
type hit struct {
	rec  record.Record
	keys []sortValue
}

// An order puts hits in sequence.
type order struct {
	keys []sortKey
	// byDefault is set when no sort was asked for: newest first.
	byDefault bool
}

// newest is the order of a search that asks for none.
func newest() order {
	return order{keys: []sortKey{{kind: byPlace, field: "_doc", desc: true}}, byDefault: true}
}

// compare orders hits: by the keys, then by identity, in the direction of the
// first key.
func (o *order) compare(a, b *hit) int {
	for i := range o.keys {
		if c := o.keys[i].compare(&a.keys[i], &b.keys[i]); c != 0 {
			return c
		}
	}
	c := compareIdentity(identity{a.rec.Time, a.rec.Ord}, identity{b.rec.Time, b.rec.Ord})
	if o.keys[0].desc {
		return -c
	}
	return c
}

// behind reports whether a hit comes after the values of search_after.
func (o *order) behind(h *hit, after []sortValue) bool {
	for i := range after {
		if c := o.keys[i].compare(&h.keys[i], &after[i]); c != 0 {
			return c > 0
		}
	}
	return false
}

func (o *order) hit(r *record.Record) hit {
	h := hit{rec: *r, keys: make([]sortValue, len(o.keys))}
	for i := range o.keys {
		h.keys[i] = o.keys[i].value(r)
	}
	return h
}

// A topList keeps the first hits of an order.
type topList struct {
	order *order
	limit int
	room  *room
	hits  []hit
	full  bool // hits[:limit] are in order: what comes behind them is not taken
}
