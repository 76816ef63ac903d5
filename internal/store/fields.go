package store

import (
	"cmp"
	"context"
	"slices"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/store/block"
	"github.com/meshtrail/meshtrail/internal/store/filter"
)

// Of the fields that have no column of their own, which may be millions, Fields
// lists so many at most. To find them, and which of the others are the same, it
// reads so many bytes of rests.
const (
	maxLoose     = 1000
	maxLooseRead = 32 << 20
)

// Fields implements Reader.
func (s *Store) Fields(ctx context.Context, tenant record.TenantID, from, to int64) (fields []FieldInfo, more uint64, err error) {
	p := s.newPlan(tenant, nil, from, to, filter.New(nil))
	defer p.close()
	l := fieldList{p: p, from: from, to: to, seen: make(map[fieldKey]uint64), others: make(map[fieldKey]struct{})}
	for i := range p.targets {
		if m := p.targets[i].mem; m != nil {
			for c := range m.Columns {
				l.seen[fieldKey{m.Columns[c].Name, m.Columns[c].Kind}] += uint64(m.Columns[c].Values)
			}
		}
	}
	for _, x := range p.open {
		l.columns(x)
	}
	// After the columns, so that what they list is not counted as more.
	for i := range p.targets {
		if m := p.targets[i].mem; m != nil {
			l.rest(m.Rest())
		}
	}
	for _, x := range p.open {
		if err := ctx.Err(); err != nil {
			return nil, 0, fault.Wrap(fault.Canceled, err)
		}
		l.rests(x)
	}
	delete(l.seen, fieldKey{record.Labels, record.String})
	fields = make([]FieldInfo, 0, len(l.seen))
	for k, n := range l.seen {
		fields = append(fields, FieldInfo{Name: k.name, Kind: k.kind, Records: n})
	}
	slices.SortFunc(fields, func(a, b FieldInfo) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Kind, b.Kind))
	})
	return fields, l.more + uint64(len(l.others)), nil
}

type fieldKey struct {
	name string
	kind record.Kind
}

type fieldList struct {
	p        *plan
	from, to int64
	seen     map[fieldKey]uint64
	loose    int                   // fields of rests in seen
	others   map[fieldKey]struct{} // and those that are not
	more     uint64                // those of rests that were not read, again for each
}

// columns adds the columns of a segment's directory.
func (l *fieldList) columns(x *openSegment) {
	d := x.reader.Directory
	for i := range d.Columns {
		c, rows := &d.Columns[i], uint64(0)
		if c.Kind == block.RestKind {
			continue
		}
		for b := range d.Blocks {
			if c.In(b) && l.covers(x, b) {
				rows += uint64(d.Blocks[b].Rows)
			}
		}
		if rows > 0 {
			l.seen[fieldKey{c.Name, c.Kind}] += min(rows, c.Values)
		}
	}
}

func (l *fieldList) covers(x *openSegment, b int) bool {
	k := &x.reader.Blocks[b]
	return k.MinTime < l.to && k.MaxTime >= l.from
}

// rest adds the fields of a rest as long as there is room.
func (l *fieldList) rest(r *block.Rest) {
	for i := range r.Len() {
		name, kind, values := r.Name(i)
		k := fieldKey{name, kind}
		if _, ok := l.seen[k]; !ok {
			if l.loose == maxLoose {
				l.others[k] = struct{}{}
				continue
			}
			l.loose++
		}
		l.seen[k] += uint64(values)
	}
}

// rests adds the fields of the rests of a segment, of which those that are not
// read are only counted.
func (l *fieldList) rests(x *openSegment) {
	c := x.reader.Rest()
	if c == nil {
		return
	}
	left, all := c.Max, true // fields of blocks that were not read
	for b := range x.reader.Blocks {
		if !c.In(b) || !l.covers(x, b) {
			continue
		}
		if l.p.cost.Decoded.Load() > maxLooseRead {
			all = false
			break
		}
		r, err := x.reader.LoadRest(b, &l.p.cost)
		if err != nil {
			l.p.lost(x.h, err)
			return
		}
		left -= min(left, uint64(r.Len()))
		l.rest(r)
	}
	if !all {
		l.more += left
	}
}
