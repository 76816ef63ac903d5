package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/meshtrail/meshtrail/internal/fault"
)

// A neighbourhood is records that stand next to each other in the commit order of
// their stream, those that match among them.
type neighbourhood struct{ records map[uint64]*shown }

// surroundings shows each record that matches among those of its stream that
// came before and after it, as grep -C does: what is near each other is shown
// once and in one piece, and -- stands between the pieces.
func (a *querying) surroundings(ctx context.Context, q url.Values, p *printer) error {
	var found []*shown
	rows, end, err := a.stream(ctx, q, func(s *shown) error {
		found = append(found, s.keep())
		return nil
	})
	if err != nil {
		return err
	}
	bar := a.t.meter("records with what surrounds them")
	defer bar.end()
	of := make(map[uint64]*neighbourhood)
	var pieces []*neighbourhood
	for i, s := range found {
		around, err := a.around(ctx, s)
		if err != nil {
			return err
		}
		piece := &neighbourhood{map[uint64]*shown{}}
		for _, r := range around {
			if old := of[r.ord]; old != nil && old != piece { // they are one
				for ord, r := range piece.records {
					old.records[ord], of[ord] = r, old
				}
				pieces = slices.DeleteFunc(pieces, func(n *neighbourhood) bool { return n == piece })
				piece = old
			}
			if piece.records[r.ord] == nil {
				piece.records[r.ord], of[r.ord] = r, piece
			}
		}
		if !slices.Contains(pieces, piece) {
			pieces = append(pieces, piece)
		}
		if r := piece.records[s.ord]; r != nil {
			r.matched = true
		}
		bar.at(64 * (i + 1))
	}
	bar.end()
	for i, piece := range pieces {
		if i > 0 && (a.output == "pretty" || a.output == "raw") {
			io.WriteString(a.t.out, "--\n")
		}
		for _, ord := range slices.Sorted(maps.Keys(piece.records)) {
			if err := p.record(piece.records[ord]); err != nil {
				return err
			}
		}
	}
	if err := p.end(); err != nil {
		return err
	}
	return verdict(a.t, rows, end)
}

// around asks for the neighbours of a record, oldest first, itself among them.
func (a *querying) around(ctx context.Context, s *shown) ([]*shown, error) {
	q := url.Values{
		"time": {time.Unix(0, s.time).UTC().Format(time.RFC3339Nano)}, "ord": {strconv.FormatUint(s.ord, 10)},
		"before": {strconv.Itoa(a.before)}, "after": {strconv.Itoa(a.after)},
	}
	if s.class == "audit" {
		q.Set("class", s.class)
	}
	var answer struct{ Records []json.RawMessage }
	if err := a.fetchJSON(ctx, "/api/v1/context", q, &answer); err != nil {
		return nil, fmt.Errorf("what surrounds record %d: %w", s.ord, err)
	}
	out := make([]*shown, 0, len(answer.Records))
	for _, raw := range answer.Records {
		r, _, err := decodeShown(raw)
		if err != nil {
			return nil, err
		}
		if r == nil {
			return nil, fault.Errorf(fault.Corrupt, "read the answer: a record is missing")
		}
		out = append(out, r)
	}
	return out, nil
}
