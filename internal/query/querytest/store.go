// Package querytest is a store.Reader for tests that is too simple to be wrong:
// it keeps records in a slice and holds match.Eval against each. It is the
// oracle that the engine, on it and on the real store, is compared with.
//
// It is for tests only, and keeps everything in memory.
package querytest

import (
	"cmp"
	"context"
	"math"
	"slices"
	"strings"
	"sync"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/store"
)

// Store is the reader. It is safe for concurrent use.
type Store struct {
	// MaxRows, when set, is the default of Budget.Rows.
	MaxRows int64

	mu      sync.RWMutex
	records map[record.TenantID][]record.Record
	next    uint64
	watch   []store.Committed
}

var _ store.Reader = (*Store)(nil)

// Append keeps a batch, numbers it as the store does (sequence << 20), and
// tells the watchers.
func (s *Store) Append(_ context.Context, b *record.Batch) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.records == nil {
		s.records = map[record.TenantID][]record.Record{}
	}
	s.next++
	b.Ord = s.next << 20
	for i := range b.Len() {
		s.records[b.Tenant] = append(s.records[b.Tenant], b.Record(i))
	}
	if b.Source == "" {
		b.Source = "test" // a batch without one can be no commit
	}
	for _, w := range s.watch {
		w(&store.Commit{Batch: b})
	}
	return nil
}

// Watch calls f for every batch from now on.
func (s *Store) Watch(f store.Committed) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.watch = append(s.watch, f)
}

// matching returns the records of a request, oldest first.
func (s *Store) matching(tenant record.TenantID, classes []record.Class, from, to int64, where match.Predicate, b store.Budget, st *store.Stats) ([]record.Record, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if b.Rows == 0 {
		b.Rows = s.MaxRows
	}
	var out []record.Record
	for i := range s.records[tenant] {
		r := &s.records[tenant][i]
		if r.Time < from || r.Time >= to || classes != nil && !slices.Contains(classes, r.Class) {
			continue
		}
		st.RowsScanned++
		if b.Rows > 0 && st.RowsScanned > b.Rows {
			return out, fault.Errorf(fault.Overload, "request visits more than %d records", b.Rows)
		}
		if match.Eval(where, r) {
			st.RowsMatched++
			out = append(out, *r)
		}
	}
	slices.SortStableFunc(out, func(a, b record.Record) int {
		return cmp.Or(cmp.Compare(a.Time, b.Time), cmp.Compare(a.Ord, b.Ord))
	})
	return out, nil
}

// Scan implements store.Reader.
func (s *Store) Scan(ctx context.Context, req store.ScanRequest, visit func([]record.Record) error) (store.Stats, error) {
	var st store.Stats
	all, err := s.matching(req.Tenant, req.Classes, req.From, req.To, req.Where, req.Budget, &st)
	all = slices.DeleteFunc(all, func(r record.Record) bool {
		if r.Ord <= req.AfterOrd || req.UpToOrd > 0 && r.Ord > req.UpToOrd {
			return true
		}
		if req.After == nil {
			return false
		}
		c := cmp.Or(cmp.Compare(r.Time, req.After.Time), cmp.Compare(r.Ord, req.After.Ord))
		return req.Order == store.Newest && c >= 0 || req.Order == store.Oldest && c <= 0
	})
	if req.Order == store.Newest {
		slices.Reverse(all)
	}
	if req.Limit > 0 && len(all) > req.Limit {
		all, err = all[:req.Limit], nil
	}
	for chunk := range slices.Chunk(all, 100) {
		if err := ctx.Err(); err != nil {
			return st, err
		}
		if req.Fields != nil {
			for i := range chunk {
				chunk[i].Fields = project(&chunk[i], req.Fields)
			}
		}
		if err := visit(chunk); err != nil {
			return st, err
		}
	}
	return st, cmp.Or(err, ctx.Err())
}

func project(r *record.Record, names []string) []record.Field {
	var out []record.Field
	for _, f := range r.Fields {
		for _, n := range names {
			if v, ok := match.Value(n, r); ok && v == f.Value {
				out = append(out, f)
				break
			}
		}
	}
	return out
}

// Count implements store.Reader.
func (s *Store) Count(ctx context.Context, req store.CountRequest) ([]store.Group, store.Stats, error) {
	var st store.Stats
	all, err := s.matching(req.Tenant, req.Classes, req.From, req.To, req.Where, req.Budget, &st)
	if err = cmp.Or(err, ctx.Err()); err != nil {
		return nil, st, err
	}
	step, buckets := req.Step, 1
	if step > 0 {
		buckets = int((req.To - req.From + step - 1) / step)
	} else {
		step = math.MaxInt64
	}
	groups := map[string]*store.Group{}
	for i := range all {
		values := make([]string, len(req.By))
		for j, name := range req.By {
			if v, ok := match.Value(name, &all[i]); ok {
				values[j] = v.Text()
			}
		}
		key := strings.Join(values, "\x00")
		g := groups[key]
		if g == nil {
			g = &store.Group{Values: values, Counts: make([]uint64, buckets)}
			if req.Sum {
				g.Bytes = make([]uint64, buckets)
			}
			groups[key] = g
		}
		b := (all[i].Time - req.From) / step
		g.Counts[b]++
		if req.Sum {
			g.Bytes[b] += uint64(len(match.AppendLine(nil, &all[i])))
		}
	}
	out := make([]store.Group, 0, len(groups))
	for _, g := range groups {
		out = append(out, *g)
	}
	slices.SortFunc(out, func(a, b store.Group) int { return slices.Compare(a.Values, b.Values) })
	return out, st, nil
}

// Table implements store.Reader.
func (s *Store) Table(ctx context.Context, req store.TableRequest, visit func(*store.Part) error) (store.Stats, error) {
	var st store.Stats
	all, err := s.matching(req.Tenant, req.Classes, req.From, req.To, req.Where, req.Budget, &st)
	for chunk := range slices.Chunk(all, 100) {
		if err := ctx.Err(); err != nil {
			return st, err
		}
		p := &store.Part{Records: len(chunk), Columns: make([]store.Cells, len(req.Fields))}
		for i, name := range req.Fields {
			c := &p.Columns[i]
			c.Texts = [][]byte{nil}
			for k := range chunk {
				c.Codes = append(c.Codes, 0)
				if v, ok := match.Value(name, &chunk[k]); ok {
					c.Codes[k] = uint32(len(c.Texts))
					c.Texts = append(c.Texts, []byte(v.Text()))
				}
			}
		}
		if err := visit(p); err != nil {
			return st, err
		}
	}
	return st, err
}

// Values implements store.Reader.
func (s *Store) Values(ctx context.Context, req store.ValuesRequest) ([]record.Count, store.Stats, error) {
	var st store.Stats
	all, err := s.matching(req.Tenant, req.Classes, req.From, req.To, req.Where, store.Budget{}, &st)
	if err = cmp.Or(err, ctx.Err()); err != nil {
		return nil, st, err
	}
	counts := map[string]uint64{}
	for i := range all {
		if v, ok := match.Value(req.Field, &all[i]); ok && v.Text() != "" {
			counts[v.Text()]++
		}
	}
	out := make([]record.Count, 0, len(counts))
	for v, n := range counts {
		out = append(out, record.Count{Name: v, N: n})
	}
	slices.SortFunc(out, func(a, b record.Count) int { return cmp.Or(cmp.Compare(b.N, a.N), cmp.Compare(a.Name, b.Name)) })
	if req.Limit == 0 {
		req.Limit = 1000
	}
	return out[:min(req.Limit, len(out))], st, nil
}

// Fields implements store.Reader.
func (s *Store) Fields(_ context.Context, tenant record.TenantID, from, to int64) ([]store.FieldInfo, uint64, error) {
	var st store.Stats
	all, err := s.matching(tenant, nil, from, to, nil, store.Budget{}, &st)
	if err != nil {
		return nil, 0, err
	}
	var out []store.FieldInfo
	for i := range all {
		for _, f := range all[i].Fields {
			j := slices.IndexFunc(out, func(o store.FieldInfo) bool { return o.Name == f.Name && o.Kind == f.Value.Kind })
			if j < 0 {
				j = len(out)
				out = append(out, store.FieldInfo{Name: f.Name, Kind: f.Value.Kind})
			}
			out[j].Records++
		}
	}
	slices.SortFunc(out, func(a, b store.FieldInfo) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Kind, b.Kind))
	})
	return out, 0, nil
}
