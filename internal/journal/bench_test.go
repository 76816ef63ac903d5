package journal

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/meshtrail/meshtrail/internal/vfs"
)

// TestAppendAllocatesNothing holds in the steady state, on a real file.
func TestAppendAllocatesNothing(t *testing.T) {
	f, err := vfs.Dir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := Create(f, testKey(1)); err != nil {
		t.Fatal(err)
	}
	j, _ := mustOpen(t, Options{FS: f, FileSize: 64 << 20})
	defer closeJournal(t, j)
	p := make([]byte, 4000)
	token := new(int)
	for range 20 {
		if _, err := j.Append(t.Context(), p, token); err != nil {
			t.Fatal(err)
		}
	}
	ctx := t.Context()
	// The sync of a real file costs what the operating system's layer allocates.
	syncCost := testing.AllocsPerRun(100, func() {
		if err := j.file.Sync(); err != nil {
			t.Fatal(err)
		}
	})
	got := testing.AllocsPerRun(200, func() {
		if _, err := j.Append(ctx, p, token); err != nil {
			t.Fatal(err)
		}
	})
	if got > syncCost {
		t.Errorf("%.1f allocations per append, of which %.1f by the sync", got, syncCost)
	}
}

// BenchmarkAppend appends through 1, 8 and 64 appenders to a real folder.
func BenchmarkAppend(b *testing.B) {
	for _, size := range []int{500, 64 << 10} {
		for _, appenders := range []int{1, 8, 64} {
			b.Run(fmt.Sprintf("%dB/%d", size, appenders), func(b *testing.B) { benchAppend(b, size, appenders) })
		}
	}
}

func benchAppend(b *testing.B, size, appenders int) {
	f, err := vfs.Dir(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	if err := Create(f, testKey(1)); err != nil {
		b.Fatal(err)
	}
	j, _ := mustOpen(b, Options{FS: f, FileSize: DefaultFileSize})
	defer closeJournal(b, j)
	p := make([]byte, size)
	var left atomic.Int64
	left.Store(int64(b.N))
	b.SetBytes(int64(size))
	b.ReportAllocs()
	b.ResetTimer()
	var wg sync.WaitGroup
	for range appenders {
		wg.Go(func() {
			for left.Add(-1) >= 0 {
				if _, err := j.Append(b.Context(), p, nil); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	st := j.Stats()
	b.ReportMetric(float64(st.Syncs)/float64(st.Frames), "syncs/op")
	if err := j.Release(j.Head().Seq); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkLay is the cost of sealing and chaining alone.
func BenchmarkLay(b *testing.B) {
	for _, size := range []int{500, 64 << 10} {
		b.Run(fmt.Sprintf("%dB", size), func(b *testing.B) {
			c, ch := newCipher(sealerOf(1), journalID{}), newChain(journalID{})
			p, buf := make([]byte, size), make([]byte, 0, size+200)
			prev := new([32]byte)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				out, err := c.seal(appendFrameHeader(buf[:0], 1, 1), p, 1)
				if err != nil {
					b.Fatal(err)
				}
				*prev = ch.finishFrame(out, prev)
			}
		})
	}
}

// BenchmarkReplay reads a file of 32 MiB back.
func BenchmarkReplay(b *testing.B) {
	f, err := vfs.Dir(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	if err := Create(f, testKey(1)); err != nil {
		b.Fatal(err)
	}
	j, _ := mustOpen(b, Options{FS: f, FileSize: DefaultFileSize})
	for range 512 {
		if _, err := j.Append(b.Context(), make([]byte, 64<<10), nil); err != nil {
			b.Fatal(err)
		}
	}
	closeJournal(b, j)
	b.SetBytes(32 << 20)
	for b.Loop() {
		j, _ := mustOpen(b, Options{FS: f})
		if err := j.Replay(b.Context(), 0, func(uint64, []byte) error { return nil }); err != nil {
			b.Fatal(err)
		}
		closeJournal(b, j)
	}
}
