package segment

import (
	"math"
	"slices"

	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/store/block"
)

// The fields that a block keeps in its rest are not listed in the directory,
// which a reader holds in memory: there may be millions. The token index finds
// them. Its tokens of the rest share one seed, that of the empty name, which no
// column has:
//
//   - of each field its name, every byte outside [A-Za-z0-9_] read as '_'
//     (schema.SameName), however long;
//   - the tokens of the name;
//   - the tokens of each value's text form, of numbers too.
var restSeed = Seed("")

// RestToken returns the hash of a field's name in the token index.
func RestToken(name string) uint64 {
	for i := 0; i < len(name); i++ {
		if class[name[i]]&isWord == 0 {
			b := []byte(name)
			for j := i; j < len(b); j++ {
				if class[b[j]]&isWord == 0 {
					b[j] = '_'
				}
			}
			return HashToken(view(b), restSeed)
		}
	}
	return HashToken(name, restSeed)
}

// RestHash returns the hash of a token that a name or value of the rest holds.
func RestHash(token string) uint64 { return HashToken(token, restSeed) }

// rest adds the tokens of a block's rest.
func (s *hashSet) rest(r *block.Rest) {
	last := ""
	var text []byte
	for i := range r.Len() {
		name, kind, _ := r.Name(i)
		if name != last {
			s.add(RestToken(name))
			s.tokens(name, restSeed)
			last = name
		}
		v := r.Vector(i)
		if kind == record.String {
			for k := range v.N {
				s.tokens(view(v.Bytes(k)), restSeed)
			}
			continue
		}
		for _, n := range v.Nums {
			text = appendNumber(text[:0], kind, n)
			s.tokens(view(text), restSeed)
		}
	}
}

// appendNumber appends the text form of a value that is no string.
func appendNumber(dst []byte, kind record.Kind, n uint64) []byte {
	switch kind {
	case record.Int:
		return record.IntValue(int64(n)).AppendText(dst)
	case record.Float:
		return record.FloatValue(math.Float64frombits(n)).AppendText(dst)
	}
	return record.BoolValue(n != 0).AppendText(dst)
}

// restColumn describes a rest in the directory.
func restColumn(r *block.Rest) blockColumn {
	return blockColumn{kind: block.RestKind, values: r.Values(), max: uint64(r.Len())}
}

// Rest describes the rest of the segment's blocks, or is nil when none has one:
// Values counts those of all fields, Max the fields, again in every block.
func (d *Directory) Rest() *Column {
	if len(d.Columns) > 0 && d.Columns[0].Kind == block.RestKind {
		return &d.Columns[0] // its empty name comes first
	}
	return nil
}

// kindNames is the kind of the cache's items that say which blocks may hold a
// name; no chunk has it.
const kindNames = 128

// InRest reports whether the rest of block b may hold a field that is called
// name, or written like it in LogQL.
func (r *Reader) InRest(b int, name string, cost *Cost) (bool, error) {
	rest := r.Rest()
	if rest == nil || !rest.In(b) {
		return false, nil
	}
	h := RestToken(name)
	key := cacheKey{r.ID, kindNames, int32(h >> 32), int32(uint32(h))}
	set, ok := r.cache.get(key).([]uint64)
	if !ok {
		set = slices.Clone(rest.Blocks)
		if err := r.Probe(h, set, cost); err != nil {
			return false, err
		}
		r.cache.put(key, set, int64(8*len(set)+100))
	}
	return set[b/64]>>(b%64)&1 != 0, nil
}

// LoadRest returns the rest of block b, or nil if it has none.
func (r *Reader) LoadRest(b int, cost *Cost) (*block.Rest, error) {
	h, err := r.header(b, cost)
	if err != nil || h.Rest == nil {
		return nil, err
	}
	n := len(h.Columns)
	key := cacheKey{r.ID, chunkBody, int32(b), int32(n)}
	if v, ok := r.cache.get(key).(*block.Rest); ok {
		return v, nil
	}
	body, err := r.body(b, n, h, cost)
	if err != nil {
		return nil, r.wrap(b, err)
	}
	v, err := h.Rest.DecodeRest(body)
	if err != nil {
		return nil, r.wrap(b, err)
	}
	cost.add(0, int(v.Size()))
	r.cache.put(key, v, v.Size())
	return v, nil
}
