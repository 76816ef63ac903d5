package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/meshtrail/meshtrail/internal/record"
)

// TestKeep: of what a scan may leave out it leaves out most when that is most of
// all, and what matters comes whole and in the order of a scan without Keep.
func TestKeep(t *testing.T) {
	s, _ := newWorld(t, Limits{SealAge: -1, JournalFile: 1 << 20})
	batches, _ := benchBatches(t, 8_000)
	for i, b := range batches {
		mustAppend(t, s, b)
		if i == len(batches)-2 {
			mustSeal(t, s)
		}
	}
	scan := func(req ScanRequest) (out []string, err error) {
		req.Tenant, req.To = "acme", 1<<62
		_, err = s.Scan(t.Context(), req, func(rs []record.Record) error {
			for i := range rs {
				out = append(out, fmt.Sprint(rs[i].Time, rs[i].Ord, rs[i].Fields))
			}
			return nil
		})
		return out, err
	}
	for _, o := range []Order{Newest, Oldest, AsStored} {
		for _, c := range []struct {
			what string
			most int // records visited
			keep func(method, pod string) bool
		}{
			{"none", 0, func(string, string) bool { return false }},
			{"few", 200, func(_, pod string) bool { return pod == "cart-7" }},
			{"half", 8_000, func(method, _ string) bool { return method == "GET" }},
			{"all", 8_000, func(string, string) bool { return true }},
		} {
			keep := func(r *record.Record) (bool, error) {
				method, _ := r.Get("method")
				pod, _ := r.Get("pod")
				if len(r.Fields) != 2 {
					return false, fmt.Errorf("fields %v, want pod and method", r.Fields)
				}
				return c.keep(method.Str, pod.Str), nil
			}
			got, err := scan(ScanRequest{Order: o, Keep: keep, KeepFields: []string{"method", "pod"}})
			if err != nil {
				t.Fatal(err)
			}
			var want []string
			all, err := scan(ScanRequest{Order: o})
			if err != nil {
				t.Fatal(err)
			}
			matters := map[string]bool{}
			_, err = s.Scan(context.Background(), ScanRequest{Tenant: "acme", To: 1 << 62, Order: o}, func(rs []record.Record) error {
				for i := range rs {
					method, _ := rs[i].Get("method")
					pod, _ := rs[i].Get("pod")
					matters[fmt.Sprint(rs[i].Time, rs[i].Ord, rs[i].Fields)] = c.keep(method.Str, pod.Str)
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range all {
				if matters[r] {
					want = append(want, r)
				}
			}
			if len(got) > c.most {
				t.Errorf("order %d, %s: %d records are visited, want at most %d", o, c.what, len(got), c.most)
			}
			if got = slices.DeleteFunc(got, func(r string) bool { return !matters[r] }); o != AsStored && !slices.Equal(got, want) {
				t.Errorf("order %d, %s: %d records, want %d in their order", o, c.what, len(got), len(want))
			}
			slices.Sort(got)
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Errorf("order %d, %s: %d records, want %d", o, c.what, len(got), len(want))
			}
		}
	}
	tired := errors.New("tired")
	if got, err := scan(ScanRequest{Keep: func(*record.Record) (bool, error) { return false, tired }}); len(got) > 0 || err != tired {
		t.Errorf("%d records and error %v", len(got), err)
	}
}
