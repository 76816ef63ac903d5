package exec

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/query/pipe"
	"github.com/meshtrail/meshtrail/internal/query/plan"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/schema"
	"github.com/meshtrail/meshtrail/internal/store"
)

// read looks at every record that where holds for, through a pipeline or none.
// With odd set those are left out whose field is a number to the store: they have
// been measured.
func (r *ranger) read(where match.Predicate, p *pipe.Pipeline, odd bool) error {
	if _, none := where.(match.False); none {
		return nil
	}
	if err := r.env.ask(); err != nil {
		return err
	}
	d := newReading(r, p, odd)
	c := newCrew(d, func() *reading {
		env := *r.env
		env.held, env.leased = 0, 0
		own := *r
		own.env, own.series, own.rows, own.order, own.held = &env, map[string]*tally{}, map[string]*tally{}, nil, 0
		return newReading(&own, p, odd)
	})
	from, to := r.lay.span()
	stats, err := r.env.Store.Scan(r.ctx, store.ScanRequest{
		Tenant: r.env.Tenant, From: from, To: to, Where: where, Fields: d.fields(p), Order: d.order(), Budget: r.env.Budget,
	}, c.take)
	addStats(&r.env.Stats, stats)
	return c.finish(err)
}

func newReading(r *ranger, p *pipe.Pipeline, odd bool) *reading {
	d := &reading{ranger: r, odd: odd}
	if p == nil {
		p = &pipe.Pipeline{}
	}
	if u := r.n.Unwrap; u != nil {
		d.res, d.want = schema.Resolve(u.Name), want(r.n.Op)
		if u.Good != nil {
			p, d.bad = u.Good, u.Bad.NewRun()
		}
	}
	d.run = p.NewRun()
	return d
}

// all counts the records of a batch.
func (d *reading) all(records []record.Record) error {
	for i := range records {
		if i%256 == 0 && d.ctx.Err() != nil {
			return d.ctx.Err()
		}
		if err := d.record(&records[i]); err != nil {
			return err
		}
	}
	if d.bad != nil && d.bad.Err() != nil {
		return d.bad.Err()
	}
	return d.run.Err()
}

// A reading is a scan on its way.
type reading struct {
	*ranger
	run, bad *pipe.Run // bad: see plan.Unwrap
	odd      bool
	res      schema.Resolution // of the unwrapped field
	want     store.Want
	key      []byte
	values   []string
}

// fields returns the names that the store must fill in.
func (d *reading) fields(p *pipe.Pipeline) []string {
	shown := []string{}
	for _, name := range d.g.by {
		if name == match.Class {
			name = plan.ClassName // which a pipeline may make
		}
		shown = append(shown, name)
	}
	if d.n.Unwrap != nil {
		shown = append(shown, d.n.Unwrap.Name)
	}
	list := []*pipe.Pipeline{p}
	if d.bad != nil {
		list = []*pipe.Pipeline{d.n.Unwrap.Good, d.n.Unwrap.Bad}
	}
	all := d.bytes() // a line may be made of all fields
	out := shown
	for _, p := range list {
		if p == nil {
			continue
		}
		names, every := p.Decides(shown)
		if d.g.stream { // everything that is made shows
			names, every = p.Fields()
		}
		out, all = append(out, names...), all || every
	}
	if all {
		return nil
	}
	return out
}

// order returns the order to read in. Counts are the same in any; what distinct
// keeps is not, nor are the last digits of sums.
func (d *reading) order() store.Order {
	if d.n.Unwrap == nil && !d.n.Distinct {
		return store.AsStored
	}
	return store.Oldest
}

// record counts one record.
func (d *reading) record(rec *record.Record) error {
	bucket := d.lay.bucket(rec.Time)
	if !d.lay.covered(bucket) {
		return nil
	}
	row, ok := d.run.Do(rec)
	if d.n.Unwrap != nil {
		return d.sample(bucket, row, ok, rec)
	}
	if !ok {
		return nil
	}
	if kind, details := row.Err(); kind != "" {
		return failed(kind, details, d.labels(row))
	}
	t, err := d.tallyOf(row)
	if err != nil {
		return err
	}
	n, fresh := t.counts.of(bucket)
	if fresh {
		if err := d.hold(16); err != nil {
			return err
		}
	}
	if d.bytes() {
		*n += uint64(len(row.Line()))
	} else {
		*n++
	}
	return nil
}

// sample counts the sample of one record, of which the pipeline says ok.
func (d *reading) sample(bucket int, row *pipe.Row, ok bool, rec *record.Record) error {
	v, have, number := 0.0, false, false
	if ok {
		v, have, number = d.number(row)
	}
	if !number && d.bad != nil {
		if row, ok = d.bad.Do(rec); ok {
			_, have, number = d.number(row)
			ok = !number
		}
	}
	if !ok || !have {
		return nil
	}
	if !number {
		if d.n.Unwrap.Skip {
			return nil
		}
		text, _ := row.Get(d.n.Unwrap.Name)
		return failed(pipe.ErrSample, d.why(text), d.labels(row))
	}
	if d.odd && !math.IsNaN(v) && !math.IsInf(v, 0) {
		return nil
	}
	if kind, details := row.Err(); kind != "" {
		return failed(kind, details, d.labels(row))
	}
	t, err := d.tallyOf(row)
	if err != nil {
		return err
	}
	c, fresh := t.cells.of(bucket)
	more := 0
	if fresh {
		more = cellSize
	}
	if d.want&(store.WantValues|store.WantSamples) != 0 {
		more += sampleSize
	}
	if more > 0 {
		if err := d.hold(more); err != nil {
			return err
		}
	}
	c.add(d.want, store.Sample{Time: rec.Time, Ord: rec.Ord, Value: v})
	return nil
}

// add counts a sample.
func (c *cell) add(want store.Want, s store.Sample) {
	if !math.IsNaN(s.Value) {
		c.spoilt = c.spoilt || math.IsInf(s.Value, 0)
		c.Measure.Add(want, s)
		return
	}
	c.nan(&s)
	if want&store.WantValues != 0 {
		c.Values = append(c.Values, s.Value)
	}
	if want&store.WantSamples != 0 {
		c.Samples = append(c.Samples, s)
	}
}

// number returns the number that a record's field is, as the store reads it, or
// NaN or an infinity, which the store does not count as one.
func (d *reading) number(row *pipe.Row) (v float64, have, is bool) {
	u := d.n.Unwrap
	value, mul, ok := row.Value(u.Name)
	if !ok || value.Kind == record.String && value.Str == "" {
		return 0, false, false
	}
	if v, is = u.Unit.Number(value, &d.res, mul); is {
		return v, true, true
	}
	switch {
	case value.Kind == record.Float:
		return value.Flt, true, true
	case value.Kind == record.String && u.Unit == match.NoUnit:
		f, err := strconv.ParseFloat(value.Str, 64)
		return f, true, err == nil
	}
	return 0, true, false
}

// why says what is wrong with a text that should be a number.
func (d *reading) why(text string) string {
	if len(text) > 100 {
		text = text[:100] + "…"
	}
	var err error
	switch d.n.Unwrap.Unit {
	case match.Duration:
		_, err = time.ParseDuration(text)
	case match.Bytes:
		err = fmt.Errorf("invalid size %q", text)
	default:
		_, err = strconv.ParseFloat(text, 64)
	}
	if err == nil {
		return ""
	}
	return err.Error()
}

// tallyOf returns the series that a record belongs to.
func (d *reading) tallyOf(row *pipe.Row) (*tally, error) {
	key := d.key[:0]
	put := func(s string) {
		key = append(strconv.AppendInt(key, int64(len(s)), 10), ':')
		key = append(key, s...)
	}
	made := row.Labels()
	d.group(row, made)
	for _, text := range d.values {
		put(text)
	}
	if d.g.stream {
		for _, l := range made {
			if !slices.Contains(d.g.without, l.Name) {
				put(l.Name)
				put(l.Value)
			}
		}
	}
	d.key = key
	if t, ok := d.rows[string(key)]; ok {
		return t, nil
	}
	t, err := d.tally(d.g.made(d.g.labels(d.values), made))
	if err != nil {
		return nil, err
	}
	if err := d.hold(len(key) + 80); err != nil {
		return nil, err
	}
	d.rows[string(key)] = t
	return t, nil
}

// group fills in the values that a record is grouped by.
func (d *reading) group(row *pipe.Row, made []pipe.Label) {
	d.values = d.values[:0]
	for _, name := range d.g.by {
		text, _ := row.Get(name)
		if name == match.Class {
			for _, l := range made {
				if l.Name == plan.ClassName {
					text = l.Value
				}
			}
		}
		d.values = append(d.values, text)
	}
}

// labels returns what is known of a record that fails the query.
func (d *reading) labels(row *pipe.Row) Labels {
	made := row.Labels()
	d.group(row, made)
	l := d.g.labels(d.values)
	for _, m := range made {
		if m.Name != pipe.ErrorName && m.Name != pipe.DetailsName {
			l = append(Labels{{m.Name, m.Value}}, l...)
		}
	}
	if u := d.n.Unwrap; u != nil {
		text, _ := row.Get(u.Name)
		l = append(l, Label{u.Name, text})
	}
	return sorted(l)
}
