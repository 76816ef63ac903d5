package elastic

import (
	"context"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/meshtrail/meshtrail/internal/access"
	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/query"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/store"
)

// Records are in no index: they have a field that says which one a bulk request
// named, and a retention class. Both are names that a search may use, and so is
// everything:
//
//	meshtrail          every record that the asker may read without asking for
//	                   audit records by name; also _all and *
//	CLASS              the records of a retention class
//	NAME               the records that were sent to this index
//	a-*,-a-b           patterns match the names of both kinds
//
// A pattern never stands for the audit class.
const (
	everything = "meshtrail"
	givenIndex = "elastic.index" // see receive/elastic
	givenID    = "elastic.id"
)

// Limits of an index expression.
const (
	maxNames     = 1000
	maxIndexName = 255
	maxListed    = 10_000 // indices of one tenant that are listed
)

// indexOf returns the index that a record is shown to be in.
func indexOf(r *record.Record) string {
	if r.Class == access.AuditClass {
		return string(r.Class)
	}
	if v, ok := r.Get(givenIndex); ok && v.Kind == record.String && v.Str != "" {
		return v.Str
	}
	return everything
}

// namedIndex selects the records of one index.
func namedIndex(name string) match.Predicate {
	if name == everything || name == "_all" {
		return match.True{}
	}
	return match.Or{match.Eq{Field: givenIndex, Value: name}, match.Eq{Field: match.Class, Value: name}}
}

// patternIndex selects the records of the indices that a pattern matches.
func patternIndex(glob string) match.Predicate {
	if glob == "*" || glob == "" {
		return match.True{}
	}
	if ok := globMatch(glob, everything); ok {
		return match.True{}
	}
	given, err := match.Anchored(givenIndex, globSource(glob, false))
	if err != nil {
		return match.False{}
	}
	class, err := match.Anchored(match.Class, globSource(glob, false))
	if err != nil {
		return given
	}
	return match.Or{given, match.And{class, match.Not{P: match.Eq{Field: match.Class, Value: string(access.AuditClass)}}}}
}

// globMatch reports whether a pattern of * and ? matches name.
func globMatch(glob, name string) bool {
	star, from := -1, 0
	i, j := 0, 0
	for j < len(name) {
		switch {
		case i < len(glob) && (glob[i] == '?' || glob[i] == name[j]) && glob[i] != '*':
			i, j = i+1, j+1
		case i < len(glob) && glob[i] == '*':
			star, from = i, j
			i++
		case star >= 0:
			from++
			i, j = star+1, from
		default:
			return false
		}
	}
	for i < len(glob) && glob[i] == '*' {
		i++
	}
	return i == len(glob)
}

// An indexSet is an index expression that was read.
type indexSet struct {
	where match.Predicate
	// must are names that have to exist.
	must []string
	// items are the names and patterns, in order; empty: everything.
	items []string
	// none is set when a name would have to exist but for allow_no_indices.
	needAny bool
}

// indexOptions are the parameters that say what a missing index means.
type indexOptions struct {
	ignoreUnavailable bool
	forbidNone        bool // allow_no_indices=false
}

func optionsOf(v url.Values) indexOptions {
	return indexOptions{
		ignoreUnavailable: isSet(v, "ignore_unavailable"),
		forbidNone:        v.Get("allow_no_indices") == "false",
	}
}

// isSet reads a boolean parameter: "", "true" or absent.
func isSet(v url.Values, name string) bool {
	return v.Has(name) && v.Get(name) != "false"
}

// readIndices reads an index expression: names, patterns and exclusions, joined by
// commas.
func readIndices(expr []string, now time.Time, o indexOptions) (*indexSet, error) {
	set := &indexSet{needAny: o.forbidNone}
	var any match.Or
	var not match.And
	for _, part := range expr {
		for name := range strings.SplitSeq(part, ",") {
			name = strings.TrimSpace(name)
			if name == "" {
				continue
			}
			if len(set.items) == maxNames || len(name) > maxIndexName {
				return nil, badf("illegal_argument_exception", "more than %d indices, or a name of more than %d bytes", maxNames, maxIndexName)
			}
			if _, local, remote := strings.Cut(name, ":"); remote {
				name = local // of another cluster: there is one
			}
			name = dateMathName(name, now)
			minus := strings.HasPrefix(name, "-") && len(set.items) > 0
			if minus {
				name = name[1:]
			}
			set.items = append(set.items, name)
			var p match.Predicate
			switch {
			case name == "_all" || name == "*":
				p = match.True{}
			case strings.ContainsAny(name, "*?"):
				p = patternIndex(name)
			default:
				p = namedIndex(name)
				if !o.ignoreUnavailable && !minus {
					set.must = append(set.must, name)
				}
			}
			if minus {
				set.items = set.items[:len(set.items)-1]
				not = append(not, match.Not{P: p})
			} else {
				any = append(any, p)
			}
		}
	}
	if len(any) == 0 {
		any = match.Or{match.True{}}
	}
	set.where = match.Simplify(match.And{any, not})
	return set, nil
}

// dateMathName resolves <logs-{now/d}> and <logs-{now/d{yyyy.MM}}>.
func dateMathName(name string, now time.Time) string {
	if len(name) < 2 || name[0] != '<' || name[len(name)-1] != '>' {
		return name
	}
	body := name[1 : len(name)-1]
	start := strings.IndexByte(body, '{')
	end := strings.LastIndexByte(body, '}')
	if start < 0 || end < start {
		return body
	}
	expr, layout := body[start+1:end], "2006.01.02"
	if i := strings.IndexByte(expr, '{'); i >= 0 {
		pattern := strings.TrimSuffix(expr[i+1:], "}")
		pattern, _, _ = strings.Cut(pattern, "|")
		expr, layout = expr[:i], layoutOf(pattern)
	}
	r := dateReader{now: now}
	m, err := r.read(expr)
	if err != nil {
		return body
	}
	return body[:start] + time.Unix(0, m.from).UTC().Format(layout) + body[end+1:]
}

// An index is a name that a search may use, and how many records it has.
type index struct {
	name  string
	count uint64
	class bool
}

// A catalogue remembers for a short time which indices a tenant has.
type catalogue struct {
	mu   sync.Mutex
	byID map[string]listing
}

type listing struct {
	indices []index
	fields  []store.FieldInfo
	at      time.Time
}

// Listings are kept so long, and for so many askers.
const (
	listingAge  = 10 * time.Second
	maxListings = 256
)

func (c *catalogue) get(key string, now time.Time) (listing, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	l, ok := c.byID[key]
	return l, ok && now.Sub(l.at) < listingAge && !now.Before(l.at)
}

func (c *catalogue) set(key string, l listing) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byID == nil || len(c.byID) >= maxListings {
		c.byID = map[string]listing{}
	}
	c.byID[key] = l
}

// listIndices reads which indices there are.
func listIndices(ctx context.Context, a *query.Asking) ([]index, error) {
	ask := store.ValuesRequest{From: minTime, To: maxTime, Limit: maxListed, Field: match.Class}
	classes, err := a.Values(ctx, ask)
	if err != nil {
		return nil, err
	}
	ask.Field = givenIndex
	given, err := a.Values(ctx, ask)
	if err != nil {
		return nil, err
	}
	all := index{name: everything}
	var out []index
	for _, c := range classes {
		all.count += c.N
		out = append(out, index{c.Name, c.N, true})
	}
	for _, g := range given {
		if i := slices.IndexFunc(out, func(x index) bool { return x.name == g.Name }); i >= 0 {
			out[i].count += g.N // nearly: a record of the class may be counted twice
			continue
		}
		out = append(out, index{g.Name, g.N, false})
	}
	if !slices.ContainsFunc(out, func(x index) bool { return x.name == everything }) {
		out = append(out, all)
	}
	if a.MayReadAudit() {
		n, err := countAudit(ctx, a)
		if err != nil {
			return nil, err
		}
		if n > 0 {
			out = append(out, index{string(access.AuditClass), n, true})
		}
	}
	slices.SortFunc(out, func(x, y index) int { return strings.Compare(x.name, y.name) })
	return out, nil
}

func countAudit(ctx context.Context, a *query.Asking) (uint64, error) {
	groups, err := a.Count(ctx, store.CountRequest{From: minTime, To: maxTime, Where: match.Eq{Field: match.Class, Value: string(access.AuditClass)}})
	if err != nil || len(groups) == 0 {
		return 0, err
	}
	return groups[0].Counts[0], nil
}

// check fails for a name that no index has.
func (s *indexSet) check(has func(string) bool, all []index) error {
	for _, name := range s.must {
		if name != everything && !has(name) {
			return missingIndex(name)
		}
	}
	if s.needAny && len(s.items) > 0 && len(s.pick(all)) == 0 {
		return missingIndex(strings.Join(s.items, ","))
	}
	return nil
}

// pick returns the indices that the expression names.
func (s *indexSet) pick(all []index) []index {
	if len(s.items) == 0 {
		return slices.DeleteFunc(slices.Clone(all), func(x index) bool { return x.name == string(access.AuditClass) })
	}
	var out []index
	for _, x := range all {
		for _, item := range s.items {
			pattern := strings.ContainsAny(item, "*?") || item == "_all"
			if item == x.name || pattern && x.name != string(access.AuditClass) && (item == "_all" || globMatch(item, x.name)) {
				out = append(out, x)
				break
			}
		}
	}
	return out
}
