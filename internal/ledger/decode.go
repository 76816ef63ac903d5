package ledger

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
	"strings"

	"github.com/meshtrail/meshtrail/internal/fault"
)

// A Leaf is a decoded leaf.
type Leaf struct {
	Type string
	// Value is one of the structs of leaf.go; nil for a type that this version
	// does not know.
	Value any
	// Unknown names the fields that this version does not know, sorted: a
	// newer version wrote them, and they were not looked at.
	Unknown []string
}

// At returns when the leaf says it was written, ns; 0 if it does not say.
func (l Leaf) At() int64 {
	switch v := l.Value.(type) {
	case Genesis:
		return v.At
	case Segment:
		return v.SealedAt
	case Epoch:
		return v.At
	case Key:
		return v.At
	case Config:
		return v.At
	case Report:
		return v.At
	case Damage:
		return v.At
	case Compact:
		return v.At
	case Destruction:
		return v.At
	case Hold:
		return v.At
	case Policy:
		return v.At
	case Tokens:
		return v.At
	}
	return 0
}

// encode returns the JSON of a leaf, with its type filled in.
func encode(leaf any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	typed, err := withType(leaf)
	if err != nil {
		return nil, err
	}
	if err := e.Encode(typed); err != nil {
		return nil, fault.Errorf(fault.Internal, "encode leaf: %w", err)
	}
	data := bytes.TrimSuffix(b.Bytes(), []byte("\n"))
	if len(data) > MaxLeaf {
		return nil, fault.Errorf(fault.TooLarge, "encode leaf: %d bytes, more than %d", len(data), MaxLeaf)
	}
	return data, nil
}

func withType(leaf any) (any, error) {
	if v := reflect.ValueOf(leaf); v.Kind() == reflect.Pointer && !v.IsNil() {
		leaf = v.Elem().Interface()
	}
	switch v := leaf.(type) {
	case Genesis:
		v.Type = TypeGenesis
		return v, nil
	case Segment:
		v.Type = TypeSegment
		return v, nil
	case Epoch:
		v.Type = TypeEpoch
		return v, nil
	case Key:
		v.Type = TypeKey
		return v, nil
	case Config:
		v.Type = TypeConfig
		return v, nil
	case Report:
		v.Type = TypeReport
		return v, nil
	case Damage:
		v.Type = TypeDamage
		return v, nil
	case Compact:
		v.Type = TypeCompact
		return v, nil
	case Destruction:
		v.Type = TypeDestruction
		return v, nil
	case Hold:
		v.Type = TypeHold
		return v, nil
	case Policy:
		v.Type = TypePolicy
		return v, nil
	case Tokens:
		v.Type = TypeTokens
		return v, nil
	}
	return nil, fault.Errorf(fault.Internal, "encode leaf: %T is not a leaf", leaf)
}

// Decode reads a leaf. Types and fields that this version does not know are
// reported, not refused: a ledger is never unreadable because it is newer.
// What is no JSON object with a "type" is fault.Corrupt.
func Decode(data []byte) (Leaf, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(data, &fields); err != nil {
		return Leaf{}, fault.Errorf(fault.Corrupt, "decode leaf: %w", err)
	}
	var l Leaf
	if err := json.Unmarshal(fields["type"], &l.Type); err != nil || l.Type == "" {
		return Leaf{}, fault.Errorf(fault.Corrupt, "decode leaf: no type")
	}
	var err error
	switch l.Type {
	case TypeGenesis:
		l.Value, l.Unknown, err = decodeAs[Genesis](data, fields)
	case TypeSegment:
		l.Value, l.Unknown, err = decodeAs[Segment](data, fields)
	case TypeEpoch:
		l.Value, l.Unknown, err = decodeAs[Epoch](data, fields)
	case TypeKey:
		l.Value, l.Unknown, err = decodeAs[Key](data, fields)
	case TypeConfig:
		l.Value, l.Unknown, err = decodeAs[Config](data, fields)
	case TypeReport:
		l.Value, l.Unknown, err = decodeAs[Report](data, fields)
	case TypeDamage:
		l.Value, l.Unknown, err = decodeAs[Damage](data, fields)
	case TypeCompact:
		l.Value, l.Unknown, err = decodeAs[Compact](data, fields)
	case TypeDestruction:
		l.Value, l.Unknown, err = decodeAs[Destruction](data, fields)
	case TypeHold:
		l.Value, l.Unknown, err = decodeAs[Hold](data, fields)
	case TypePolicy:
		l.Value, l.Unknown, err = decodeAs[Policy](data, fields)
	case TypeTokens:
		l.Value, l.Unknown, err = decodeAs[Tokens](data, fields)
	}
	if err != nil {
		return Leaf{}, fault.Errorf(fault.Corrupt, "decode %s leaf: %w", l.Type, err)
	}
	return l, nil
}

func decodeAs[T any](data []byte, fields map[string]json.RawMessage) (any, []string, error) {
	var v T
	if err := json.Unmarshal(data, &v); err != nil {
		return nil, nil, err
	}
	known := map[string]bool{}
	t := reflect.TypeFor[T]()
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		known[name] = true
	}
	var unknown []string
	for name := range fields {
		if !known[name] {
			unknown = append(unknown, name)
		}
	}
	slices.Sort(unknown)
	return v, unknown, nil
}

// partRoom is how much of a leaf the sources of one part may fill, in bytes;
// the rest is for the epoch's own fields.
const partRoom = MaxLeaf - 4096

// Split cuts a large account over as many leaves as it needs, to be appended in
// one call. A small one is one leaf, Part 1 of 1.
func (e Epoch) Split() ([]any, error) {
	var parts [][]Source
	room := 0
	for i := range e.Sources {
		data, err := json.Marshal(e.Sources[i])
		if err != nil {
			return nil, fault.Errorf(fault.Internal, "encode source: %w", err)
		}
		if len(data) > partRoom {
			return nil, fault.Errorf(fault.TooLarge, "account of source %q needs %d bytes of a leaf, more than %d", e.Sources[i].Source, len(data), partRoom)
		}
		if room -= len(data) + 1; room < 0 || len(parts) == 0 {
			parts = append(parts, nil)
			room = partRoom - len(data) - 1
		}
		last := len(parts) - 1
		parts[last] = append(parts[last], e.Sources[i])
	}
	if len(parts) == 0 {
		parts = append(parts, nil)
	}
	leaves := make([]any, len(parts))
	for i, sources := range parts {
		p := e
		p.Part, p.Parts, p.Sources = i+1, len(parts), sources
		if p.Sources == nil {
			p.Sources = []Source{}
		}
		leaves[i] = p
	}
	return leaves, nil
}

// maxDestroyed is how many segments and keys one part of a Destruction names.
const maxDestroyed = 700

// Split cuts the certificate over as many leaves as its segments and keys need,
// to be appended in one call. size says how many records and bytes a segment
// has; Records and Bytes are set from it.
func (d Destruction) Split(size func(id string) (records uint64, bytes int64)) []any {
	segments, keys := slices.Collect(slices.Chunk(d.Segments, maxDestroyed)), slices.Collect(slices.Chunk(d.KeyIDs, maxDestroyed))
	leaves := make([]any, max(len(segments), len(keys), 1))
	for i := range leaves {
		p := d
		p.Part, p.Parts, p.Records, p.Bytes = i+1, len(leaves), 0, 0
		p.Segments, p.KeyIDs = []string{}, []string{}
		if i < len(segments) {
			p.Segments = segments[i]
		}
		if i < len(keys) {
			p.KeyIDs = keys[i]
		}
		for _, id := range p.Segments {
			records, bytes := size(id)
			p.Records += records
			p.Bytes += bytes
		}
		leaves[i] = p
	}
	return leaves
}
