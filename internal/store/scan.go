package store

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"unsafe"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/store/filter"
)

// What a visit gets at most: so many records, and of more than one so many bytes.
// Few records can be as large as thousands.
const (
	emitRows  = 1024
	firstRows = 128 // and the first visit, which may be enough
	emitBytes = 16 << 20
)

// Scan implements Reader.
func (s *Store) Scan(ctx context.Context, req ScanRequest, visit func([]record.Record) error) (Stats, error) {
	cut, err := cutOf(&req)
	if err != nil {
		return Stats{}, err
	}
	f := filter.New(req.Where)
	p := s.planAfter(req.Tenant, req.Classes, req.From, req.To, req.AfterOrd, f)
	defer p.close()
	r := p.runner(ctx, f, req.From, req.To, req.Budget)
	r.cut = cut
	e := &emitter{r: r, visit: visit, want: filter.FieldsOf(req.Fields), most: firstRows}
	if req.Keep != nil && req.Limit == 0 {
		e.sieve = newSieve(&req)
	}
	switch {
	case req.Order == AsStored:
		err = r.asStored(ctx, e, req.Limit)
	case req.Limit > 0:
		err = r.top(ctx, e, req.Order, req.Limit)
	default:
		err = r.merge(ctx, e, req.Order)
	}
	return r.stats(), err
}

// asStored visits block by block.
func (r *runner) asStored(ctx context.Context, e *emitter, limit int) error {
	left := limit
	work := func(w *worker, t *target) ([]hit, error) { return r.hits(w, t, AsStored, 0, nil) }
	more := func(*target) bool { return limit == 0 || left > 0 }
	return run(ctx, r, work, more, func(_ *target, hits []hit) error {
		slices.SortFunc(hits, func(a, b hit) int { return AsStored.compare(&a, &b) })
		if limit > 0 {
			hits = hits[:min(len(hits), left)]
			left -= len(hits)
		}
		return e.emit(hits)
	})
}

// bound is the time at which a target's records begin, in the order.
func (t *target) bound(o Order) int64 {
	if o == Newest {
		return t.maxTime
	}
	return t.minTime
}

// sortTargets puts the targets in the order in which their records begin.
func (p *plan) sortTargets(o Order) {
	slices.SortFunc(p.targets, func(a, b target) int {
		if o == Newest {
			return cmp.Compare(b.maxTime, a.maxTime)
		}
		return cmp.Compare(a.minTime, b.minTime)
	})
}

// merge visits all matching records in order: those that come before anything
// that the blocks not yet seen can hold are visited, the others wait.
func (r *runner) merge(ctx context.Context, e *emitter, o Order) error {
	r.p.sortTargets(o)
	var waiting [][]hit // each sorted
	work := func(w *worker, t *target) ([]hit, error) {
		hits, err := r.hits(w, t, o, 0, nil)
		slices.SortFunc(hits, func(a, b hit) int { return o.compare(&a, &b) })
		return hits, err
	}
	flush := func(next *target) error {
		out, err := takeBefore(r.watch, &waiting, o, next)
		if err != nil {
			return err
		}
		return e.emit(out)
	}
	err := run(ctx, r, work, nil, func(t *target, hits []hit) error {
		if err := flush(t); err != nil {
			return err
		}
		if len(hits) > 0 {
			waiting = append(waiting, hits)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return flush(nil)
}

// takeBefore takes the hits whose time comes before everything from next on,
// merged in order; nil takes all.
func takeBefore(w *fault.Watch, waiting *[][]hit, o Order, next *target) ([]hit, error) {
	var out []hit
	rest := (*waiting)[:0]
	for _, list := range *waiting {
		n := len(list)
		if next != nil {
			at := next.bound(o)
			n, _ = slices.BinarySearchFunc(list, at, func(h hit, at int64) int {
				if o == Newest && h.time > at || o == Oldest && h.time < at {
					return -1
				}
				return 1
			})
		}
		out = append(out, list[:n]...)
		if n < len(list) {
			rest = append(rest, list[n:])
		}
	}
	*waiting = rest
	err := fault.Sort(w, out, func(a, b hit) int { return o.compare(&a, &b) })
	return out, err
}

// top visits the first limit records in order. It stops at the first block that
// begins behind the last of them.
func (r *runner) top(ctx context.Context, e *emitter, o Order, limit int) error {
	r.p.sortTargets(o)
	best := &topHits{o: o, limit: limit}
	work := func(w *worker, t *target) ([]hit, error) {
		if !best.reaches(t.bound(o)) {
			return nil, nil
		}
		hits, err := r.hits(w, t, o, limit, best.keep())
		if len(hits) > limit {
			slices.SortFunc(hits, func(a, b hit) int { return o.compare(&a, &b) })
			hits = hits[:limit]
		}
		return hits, err
	}
	more := func(t *target) bool { return best.reaches(t.bound(o)) }
	err := run(ctx, r, work, more, func(_ *target, hits []hit) error {
		best.add(hits)
		return nil
	})
	if e2 := e.emit(best.sorted()); err == nil {
		err = e2
	}
	return err
}

// An emitter reads hits and hands the records to the visitor.
type emitter struct {
	r     *runner
	visit func([]record.Record) error
	want  filter.Fields
	sieve *sieve // nil: all records matter

	out  []record.Record
	rows filter.Rows
	most int // records of the next batch at most
	held int // bytes of the batch so far
}

// errLarge says that a batch has more bytes than one visit may get.
var errLarge = errors.New("large")

// emit visits the records of hits, of those that matter.
func (e *emitter) emit(hits []hit) error {
	if e.sieve == nil {
		return e.all(hits)
	}
	for len(hits) > 0 {
		n := min(len(hits), e.sieve.most)
		kept, err := e.sift(hits[:n])
		if err == nil {
			err = e.all(kept)
		}
		if err != nil {
			return err
		}
		hits = hits[n:]
	}
	return nil
}

// all visits the records of hits.
func (e *emitter) all(hits []hit) error {
	for len(hits) > 0 {
		if err := e.r.watch.Look(); err != nil {
			return err // a block may be many batches, and a visit slow
		}
		n := min(len(hits), e.most)
		switch err := e.batch(hits[:n]); {
		case err == errLarge:
			e.most = max(1, n/8)
			continue
		case err != nil:
			return err
		case e.held < emitBytes/8:
			e.most = min(emitRows, 2*e.most)
		}
		hits = hits[n:]
	}
	return nil
}

// batch reads the records of hits and visits them in order.
func (e *emitter) batch(hits []hit) error {
	out, lost, err := e.fill(hits, e.want)
	if err != nil {
		return err
	}
	if lost {
		out = slices.DeleteFunc(out, func(r record.Record) bool { return r.Ord == lostOrd })
	}
	if len(out) == 0 {
		return nil
	}
	return e.visit(out)
}

// lostOrd marks a record that could not be read.
const lostOrd = ^uint64(0)

// fill reads the records of hits, block by block. It reports whether some are lost.
func (e *emitter) fill(hits []hit, want filter.Fields) (out []record.Record, lost bool, err error) {
	if cap(e.out) < len(hits) {
		e.out = make([]record.Record, len(hits))
	}
	out = e.out[:len(hits)]
	byBlock := make([]int, len(hits))
	for i := range byBlock {
		byBlock[i] = i
	}
	if slices.ContainsFunc(hits, func(h hit) bool { return h.of != hits[0].of }) {
		slices.SortStableFunc(byBlock, func(a, b int) int {
			return cmp.Compare(uintptr(unsafe.Pointer(hits[a].of)), uintptr(unsafe.Pointer(hits[b].of)))
		})
	}
	e.held = 0
	for len(byBlock) > 0 {
		n := 1
		for n < len(byBlock) && hits[byBlock[n]].of == hits[byBlock[0]].of {
			n++
		}
		if err := e.read(hits, byBlock[:n], out, want); err == errLarge {
			return nil, false, err
		} else if err != nil {
			if err := e.r.skip(hits[byBlock[0]].of, err); err != nil {
				return nil, false, err
			}
			for _, i := range byBlock[:n] {
				out[i].Ord = lostOrd
			}
			lost = true
		}
		byBlock = byBlock[n:]
	}
	return out, lost, nil
}

// read fills the records of one block. Their strings are detached from it.
func (e *emitter) read(hits []hit, which []int, out []record.Record, want filter.Fields) error {
	src, err := e.r.p.source(hits[which[0]].of)
	if err != nil {
		return err
	}
	_, ingests, err := src.Origins()
	if err != nil {
		return err
	}
	e.rows.Reset(src, want)
	if err := e.rows.Load(); err != nil {
		return err
	}
	names, vecs := e.rows.Columns()
	fields := make([]record.Field, 0, len(which)*min(len(vecs), 24))
	var text []byte // of all strings; what was cut from an outgrown one stays valid
	before := e.held
	for _, i := range which {
		if e.held = before + len(text) + cap(fields)*int(unsafe.Sizeof(record.Field{})); e.held > emitBytes && len(hits) > 1 {
			return errLarge
		}
		h := &hits[i]
		start := len(fields)
		for k, v := range vecs {
			j, ok := v.Find(int(h.row))
			if !ok {
				continue
			}
			val := filter.ValueOf(v, v.Entry(j))
			text = detach(&val, text)
			fields = append(fields, record.Field{Name: names[k], Value: val})
		}
		loose := len(fields)
		if fields = e.rows.Loose(fields, int(h.row)); len(fields) > loose {
			for k := range fields[loose:] {
				text = detach(&fields[loose+k].Value, text)
			}
			filter.InOrder(fields[start:])
		}
		out[i] = record.Record{
			Time: h.time, Ingest: int64(ingests[h.row]), Ord: h.ord, Class: src.Class(),
			Fields: fields[start:len(fields):len(fields)],
		}
	}
	e.held = before + len(text) + cap(fields)*int(unsafe.Sizeof(record.Field{}))
	return nil
}

// detach makes a string alias text, to which it is appended.
func detach(v *record.Value, text []byte) []byte {
	if v.Kind == record.String {
		at := len(text)
		text = append(text, v.Str...)
		v.Str = unsafe.String(unsafe.SliceData(text[at:]), len(v.Str))
	}
	return text
}
