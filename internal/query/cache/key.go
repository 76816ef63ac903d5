package cache

import (
	"crypto/sha256"
	"encoding/binary"
	"math"

	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/store"
)

// An encoder writes what an answer depends on so that no two requests of different
// meaning write the same: every text has its length, every list its number, every
// type its letter.
type encoder struct {
	b       []byte
	unknown bool // met something that it cannot write
}

func (e *encoder) key() (k requestKey, ok bool) { return sha256.Sum256(e.b), !e.unknown }

func (e *encoder) int(v int64)     { e.b = binary.AppendVarint(e.b, v) }
func (e *encoder) float(v float64) { e.b = binary.BigEndian.AppendUint64(e.b, math.Float64bits(v)) }

func (e *encoder) bool(v bool) {
	if v {
		e.b = append(e.b, 1)
	} else {
		e.b = append(e.b, 0)
	}
}

func (e *encoder) text(list ...string) {
	for _, s := range list {
		e.int(int64(len(s)))
		e.b = append(e.b, s...)
	}
}

func (e *encoder) texts(list []string) {
	e.int(int64(len(list)))
	e.text(list...)
}

// request writes what Count and Measure have in common.
func (e *encoder) request(kind byte, tenant record.TenantID, classes []record.Class, where match.Predicate, g *grid) {
	e.b = append(e.b, kind)
	e.text(string(tenant))
	e.bool(classes != nil)
	e.int(int64(len(classes)))
	for _, c := range classes {
		e.text(string(c))
	}
	e.int(g.step)
	e.int(g.phase)
	e.int(g.every)
	e.predicate(where)
}

func (e *encoder) predicate(p match.Predicate) {
	leaf := func(kind byte, field string, texts ...string) {
		e.b = append(e.b, kind)
		e.text(field)
		e.texts(texts)
	}
	switch p := p.(type) {
	case nil, match.True:
		e.b = append(e.b, 'T')
	case match.False:
		e.b = append(e.b, 'F')
	case match.And:
		e.list('A', p)
	case match.Or:
		e.list('O', p)
	case match.Not:
		e.b = append(e.b, 'N')
		e.predicate(p.P)
	case match.Exists:
		leaf('x', p.Field)
	case match.Eq:
		leaf('e', p.Field, p.Value)
	case match.In:
		leaf('i', p.Field, p.Values...)
	case match.Prefix:
		leaf('p', p.Field, p.Value)
	case match.Contains:
		leaf('c', p.Field, p.Value)
		e.bool(p.Fold)
	case match.Word:
		leaf('w', p.Field, p.Value)
		e.bool(p.Fold)
	case match.Regex:
		leaf('r', p.Field, p.Re.String())
	case match.Range:
		leaf('n', p.Field)
		e.int(int64(p.Unit))
		e.bound(p.Min)
		e.bound(p.Max)
	case match.CIDR:
		leaf('a', p.Field, p.Net.String())
	default:
		e.unknown = true
	}
}

func (e *encoder) list(kind byte, list []match.Predicate) {
	e.b = append(e.b, kind)
	e.int(int64(len(list)))
	for _, p := range list {
		e.predicate(p)
	}
}

func (e *encoder) bound(b match.Bound) {
	e.bool(b.Set)
	e.bool(b.Inclusive)
	e.bool(b.IsInt)
	e.int(b.Int)
	e.float(b.Float)
}

// extent returns the records that an answer depends on.
func extent(tenant record.TenantID, classes []record.Class, where match.Predicate, from, to int64) store.Extent {
	of := store.Extent{Tenant: tenant, Classes: classes, From: from, To: to}
	parts, ok := where.(match.And)
	if !ok {
		parts = match.And{where}
	}
	for _, p := range parts {
		if not, ok := p.(match.Not); ok {
			if eq, ok := not.P.(match.Eq); ok && eq.Field == match.Class {
				of.Without = record.Class(eq.Value)
			}
		}
	}
	return of
}
