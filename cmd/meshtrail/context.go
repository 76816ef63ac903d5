package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"time"

	"github.com/meshtrail/meshtrail/internal/fault"
)

// surroundings shows each record that matches among those of its stream that
// came before and after it, as grep -C does: records that are near each other
// share their surroundings, and -- stands between the others.
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
	matched := make(map[uint64]bool, len(found))
	for _, s := range found {
		matched[s.ord] = true
	}
	printed := make(map[uint64]bool)
	for i, s := range found {
		if printed[s.ord] {
			continue
		}
		around, err := a.around(ctx, s)
		if err != nil {
			return err
		}
		fresh := around[:0]
		joined := false // to what was printed last
		for _, r := range around {
			if printed[r.ord] {
				joined = true
				continue
			}
			r.matched = matched[r.ord]
			fresh = append(fresh, r)
		}
		if len(printed) > 0 && !joined && (a.output == "pretty" || a.output == "raw") {
			io.WriteString(a.t.out, "--\n")
		}
		for _, r := range fresh {
			printed[r.ord] = true
			if err := p.record(r); err != nil {
				return err
			}
		}
		bar.at(64 * (i + 1))
	}
	bar.end()
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
