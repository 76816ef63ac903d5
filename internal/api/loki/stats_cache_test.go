package loki

import (
	"encoding/json"
	"testing"

	"github.com/meshtrail/meshtrail/internal/store"
)

// TestCacheStatistics: what was kept from before stands where Loki's clients look.
func TestCacheStatistics(t *testing.T) {
	for _, use := range []store.CacheUse{{}, {Hits: 7, Misses: 2}} {
		var got struct {
			Cache map[string]struct{ EntriesFound, EntriesRequested, Requests int }
		}
		if err := json.Unmarshal(appendStats(nil, &store.Stats{ResultCache: use}, 0), &got); err != nil {
			t.Fatal(err)
		}
		for name, c := range got.Cache {
			want := store.CacheUse{}
			if name == "result" {
				want = use
			}
			if c.EntriesFound != want.Hits || c.EntriesRequested != want.Hits+want.Misses || c.Requests != c.EntriesRequested {
				t.Errorf("%+v: cache %s is %+v", use, name, c)
			}
		}
		if len(got.Cache) != 10 {
			t.Errorf("%d caches", len(got.Cache))
		}
	}
}
