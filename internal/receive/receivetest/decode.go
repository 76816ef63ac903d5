package receivetest

import (
	"testing"

	"github.com/meshtrail/meshtrail/internal/receive"
)

// Allocates requires that decode, which fills an empty set with so many records,
// allocates no more than most times once its memory is warm: not for each of them.
// Under the race detector, which allocates on its own, it skips the test.
func Allocates(t *testing.T, most float64, records int, decode func(set *receive.Set) error) {
	t.Helper()
	if Race {
		t.Skip("the race detector allocates")
	}
	run := func() {
		set := receive.NewSet()
		defer set.Release()
		if err := decode(set); err != nil || len(set.Raws) != records {
			t.Fatalf("%v, %d of %d records", err, len(set.Raws), records)
		}
	}
	run()
	if n := testing.AllocsPerRun(20, run); n > most {
		t.Errorf("%v allocations for %d records, more than %v", n, records, most)
	}
}

// Decodes measures decode, which fills an empty set with so many records of so many
// bytes.
func Decodes(b *testing.B, bytes, records int, decode func(set *receive.Set) error) {
	b.SetBytes(int64(bytes))
	b.ReportAllocs()
	for b.Loop() {
		set := receive.NewSet()
		if err := decode(set); err != nil {
			b.Fatal(err)
		}
		set.Release()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(records), "ns/record")
}
