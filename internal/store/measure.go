package store

import (
	"cmp"
	"math"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/record"
)

// TimeName, as the name of a field to measure or to group by, means the event
// time in nanoseconds; no record can shadow it. A float64 tells times of today
// apart that differ by 256 ns or more.
const TimeName = "__time__"

// A MeasureRequest asks for statistics of numeric fields of the records that
// match, by the values of fields and by time, all in one pass.
type MeasureRequest struct {
	Tenant  record.TenantID
	Classes []record.Class // nil: all
	From    int64
	To      int64
	Where   match.Predicate // nil: all
	By      []GroupKey
	// Step, ns, is the width of the time buckets; 0 means one bucket. Bucket i
	// holds times in [Zero+i*Step, Zero+(i+1)*Step), of those from From on.
	Step int64
	// Zero is where bucket 0 starts, at or before From; 0 means at From.
	Zero   int64
	Of     []MeasureField // may be empty: then records are counted
	Budget Budget
}

// A GroupKey is a field by which records are grouped. Without Edges and Interval
// the value is the text of the field, "" when it is absent, as in a Group of
// Count. With either it is made of the number that the field is (match.Unit), and
// is "" for a record without one.
type GroupKey struct {
	Name string // any name the asker may use; also match.Class, match.Line, TimeName
	Unit match.Unit
	// Edges, ascending, cut the numbers into len(Edges)+1 ranges. The value is the
	// number of the range: "0" below Edges[0], "i" from Edges[i-1] on and below
	// Edges[i].
	Edges []float64
	// Interval, when above 0, is the width of ranges of which one starts at Offset.
	// The value is where the range starts, as strconv formats it with 'g', -1.
	Interval float64
	Offset   float64
}

// GroupBy returns the keys that group by the texts of fields.
func GroupBy(names ...string) []GroupKey {
	keys := make([]GroupKey, len(names))
	for i, n := range names {
		keys[i].Name = n
	}
	return keys
}

// Want says which statistics of a field are wanted: any of them together. What is
// not wanted costs nothing, and is zero in the answer.
type Want uint8

// The statistics.
const (
	WantSums     Want = 1 << iota // Count, Sum, Min, Max
	WantSpread                    // M2; implies WantSums
	WantBounds                    // Count, Min, Max: alone, often known without reading the field
	WantEnds                      // First, Last
	WantValues                    // Values
	WantSamples                   // Samples
	WantDistinct                  // Distinct, of texts as well as of numbers
)

// numeric are the statistics for which a value must be a number.
const numeric = WantSums | WantSpread | WantBounds | WantEnds | WantValues | WantSamples

// A MeasureField is a field whose values are measured.
type MeasureField struct {
	Name string // any name the asker may use; also match.Class, match.Line, TimeName
	// Unit says what a number means, and which texts are numbers: see
	// match.Unit.Number.
	Unit match.Unit
	Want Want
}

// A MeasureGroup is one combination of By values with its statistics. Groups are
// in the order of their values.
type MeasureGroup struct {
	Values []string
	Cells  []MeasureCell // of the buckets that have records, ascending
}

// A MeasureCell is what is known of the records of one group and bucket.
type MeasureCell struct {
	Bucket  int
	Records uint64    // that match
	Of      []Measure // in the order of the request's Of
}

// A Measure is the statistics of one field over some records. The zero Measure is
// of none. Measures of different records are put together by Merge, in any order.
type Measure struct {
	// Count is of the records whose field is a number; Absent do not have it, and
	// of NotNumbers it is none. Count and NotNumbers are zero when only
	// WantDistinct was asked for.
	Count      uint64
	Absent     uint64
	NotNumbers uint64

	Sum      float64
	Min, Max float64
	// M2 is the sum of the squares of the differences from the mean: M2/Count is
	// the variance of a population.
	M2 float64

	// First and Last are by (Time, Ord).
	First, Last Sample
	// Values are all numbers. The store gives them ascending; Add and Merge do not
	// keep the order: call Sort.
	Values []float64
	// Samples are all numbers with their times, by (Time, Ord). Add and Merge do
	// not keep the order: call Sort.
	Samples []Sample
	// Distinct is the set of the values' texts, as the records have them and not
	// scaled; nil when it was not asked for.
	Distinct *Distinct

	low    float64 // what Sum lost by rounding
	spread bool    // M2 was asked for
}

// A Sample is the number that one record has.
type Sample struct {
	Time  int64
	Ord   uint64
	Value float64
}

// Before orders samples by time, and those of one time by Ord.
func (s *Sample) Before(o *Sample) bool {
	return s.Time < o.Time || s.Time == o.Time && s.Ord < o.Ord
}

// Mean returns Sum/Count; NaN of no numbers.
func (m *Measure) Mean() float64 { return m.Sum / float64(m.Count) }

// Variance returns the variance of the numbers as a population; NaN of none.
func (m *Measure) Variance() float64 { return m.M2 / float64(m.Count) }

// Add counts the number of one more record. It is for those who read record by
// record what the store can not measure.
func (m *Measure) Add(w Want, s Sample) {
	m.Count++
	if w&(WantSums|WantSpread|WantBounds) != 0 {
		if m.Count == 1 || s.Value < m.Min {
			m.Min = s.Value
		}
		if m.Count == 1 || s.Value > m.Max {
			m.Max = s.Value
		}
	}
	if w&(WantSums|WantSpread) != 0 {
		mean := m.Sum / float64(max(m.Count-1, 1))
		m.plus(s.Value, 0)
		if w&WantSpread != 0 {
			m.spread = true
			m.M2 += (s.Value - mean) * (s.Value - m.Mean())
		}
	}
	if w&WantEnds != 0 {
		m.end(m.Count == 1, &s, &s)
	}
	if w&WantValues != 0 {
		m.Values = append(m.Values, s.Value)
	}
	if w&WantSamples != 0 {
		m.Samples = append(m.Samples, s)
	}
}

// end takes the first and the last of other records.
func (m *Measure) end(only bool, first, last *Sample) {
	if only || first.Before(&m.First) {
		m.First = *first
	}
	if only || m.Last.Before(last) {
		m.Last = *last
	}
}

// plus adds high+low to the sum. It carries what rounding loses, so that the
// order of the terms does not show in the sum.
func (m *Measure) plus(high, low float64) {
	s := m.Sum + high
	b := s - m.Sum
	lost := (m.Sum - (s - b)) + (high - b) + low + m.low
	if math.IsNaN(lost) || math.IsInf(s, 0) {
		m.Sum, m.low = s, 0
		return
	}
	m.Sum = s + lost
	m.low = lost - (m.Sum - s)
}

// Merge adds the statistics of other records. It keeps no memory of o.
func (m *Measure) Merge(o *Measure) {
	if o.Count > 0 {
		if m.Count > 0 {
			m.Min, m.Max = min(m.Min, o.Min), max(m.Max, o.Max)
			if m.spread {
				n, k := float64(m.Count), float64(o.Count)
				d := o.Mean() - m.Mean()
				m.M2 += o.M2 + d*d*n*k/(n+k)
			}
		} else {
			m.Min, m.Max, m.M2, m.spread = o.Min, o.Max, o.M2, o.spread
		}
		m.plus(o.Sum, o.low)
		m.end(m.Count == 0, &o.First, &o.Last)
	}
	m.Count += o.Count
	m.Absent += o.Absent
	m.NotNumbers += o.NotNumbers
	m.Values = append(m.Values, o.Values...)
	m.Samples = append(m.Samples, o.Samples...)
	if o.Distinct != nil {
		if m.Distinct == nil {
			m.Distinct = new(Distinct)
		}
		m.Distinct.Merge(o.Distinct)
	}
}

// Sort puts Values and Samples in their order.
func (m *Measure) Sort() { _ = m.sort(nil) } // a nil Watch never ends

// sort is Sort, unless w ends.
func (m *Measure) sort(w *fault.Watch) error {
	sortNumbers(m.Values)
	return fault.Sort(w, m.Samples, func(a, b Sample) int {
		switch {
		case a.Before(&b):
			return -1
		case b.Before(&a):
			return 1
		}
		return 0
	})
}

// Limits of a MeasureRequest.
const (
	maxMeasured = 64   // fields
	maxEdges    = 4096 // of a key
)

// floor returns where the range of a number starts.
func (k *GroupKey) floor(x float64) float64 {
	return math.Floor((x-k.Offset)/k.Interval)*k.Interval + k.Offset
}

// Check returns what is wrong with the request itself, or nil.
func (q *MeasureRequest) Check() error {
	invalid := func(format string, args ...any) error {
		return fault.Errorf(fault.Invalid, "measure: "+format, args...)
	}
	switch {
	case len(q.Of) > maxMeasured:
		return invalid("%d fields, limit %d", len(q.Of), maxMeasured)
	case q.Step < 0:
		return invalid("a step of %d", q.Step)
	case q.Zero != 0 && q.Zero > q.From:
		return invalid("bucket 0 starts at %d, behind the first time %d", q.Zero, q.From)
	}
	for i := range q.By {
		k := &q.By[i]
		switch {
		case len(k.Edges) > maxEdges:
			return invalid("%d edges of %q, limit %d", len(k.Edges), k.Name, maxEdges)
		case len(k.Edges) > 0 && k.Interval != 0:
			return invalid("edges and an interval of %q", k.Name)
		case !(k.Interval >= 0 && k.Interval <= math.MaxFloat64 && math.Abs(k.Offset) <= math.MaxFloat64):
			return invalid("an interval of %v from %v of %q", k.Interval, k.Offset, k.Name)
		}
		for j, e := range k.Edges {
			if math.IsNaN(e) || j > 0 && e <= k.Edges[j-1] {
				return invalid("the edges of %q do not ascend", k.Name)
			}
		}
	}
	if n := q.buckets(); n > maxBuckets {
		return invalid("%d buckets, limit %d", n, maxBuckets)
	}
	return nil
}

// zero returns where bucket 0 starts.
func (q *MeasureRequest) zero() int64 { return cmp.Or(q.Zero, q.From) }

// buckets returns how many buckets there are.
func (q *MeasureRequest) buckets() int {
	if q.Step == 0 || q.To <= q.From {
		return 1
	}
	return int(min((uint64(q.To)-uint64(q.zero())-1)/uint64(q.Step)+1, 1<<40))
}
