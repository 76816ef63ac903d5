package trace

import (
	"encoding/binary"
	"encoding/hex"
)

// Unshare gives a server's span that has its client's id (Zipkin) an id of its
// own, below the client's, and what the client's id was the parent of to the
// server: readers that want ids to be unique (Jaeger's) see one call as two spans.
func (t *Trace) Unshare() {
	ids := make(map[string]int, len(t.Spans))
	for i := range t.Spans {
		ids[t.Spans[i].SpanID]++
	}
	renamed := map[string]string{}
	for i := range t.Spans {
		s := &t.Spans[i]
		if !s.Shared || ids[s.SpanID] < 2 || renamed[s.SpanID] != "" {
			continue
		}
		id := s.SpanID
		for ids[id] > 0 {
			id = nextID(id)
		}
		ids[id]++
		renamed[s.SpanID] = id
		s.Parent, s.SpanID = s.SpanID, id
	}
	if len(renamed) == 0 {
		return
	}
	for i := range t.Spans {
		s := &t.Spans[i]
		if id := renamed[s.Parent]; id != "" && id != s.SpanID {
			s.Parent = id
		}
	}
}

func nextID(id string) string {
	b, err := hex.DecodeString(id)
	if err != nil || len(b) != 8 {
		return "0000000000000001"
	}
	return hex.EncodeToString(binary.BigEndian.AppendUint64(nil, binary.BigEndian.Uint64(b)+1))
}
