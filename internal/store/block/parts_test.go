package block

import (
	"bytes"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/meshtrail/meshtrail/internal/fault"
)

// headerOf returns the plain bytes of an encoded header.
func headerOf(t *testing.T, e *Encoded) []byte {
	t.Helper()
	plain, err := DecodeBlob(e.Header[1:], MaxBody)
	if err != nil {
		t.Fatal(err)
	}
	return plain
}

// A head is read when it is asked for. One that is damaged says nothing, and who
// decodes the column is told.
func TestDamagedHeads(t *testing.T) {
	in := golden()
	e := Encode(in)
	good, err := DecodeHeader(e.Header)
	if err != nil {
		t.Fatal(err)
	}
	plain, found := headerOf(t, e), 0
	for at := range plain {
		for _, x := range []byte{1, 0x80, 0xff} {
			bad := bytes.Clone(plain)
			bad[at] ^= x
			h, err := DecodeHeader(appendBlob([]byte{Version}, bad))
			if err != nil {
				if !fault.Is(err, fault.Corrupt) {
					t.Fatalf("byte %d: %v", at, err)
				}
				continue
			}
			for i := range h.Columns {
				c := &h.Columns[i]
				if c.entries == 0 || c.Head() != nil {
					continue
				}
				found++
				if c.Counts() != nil || c.codec != codecDerived && h.Alphabet(i) != nil {
					t.Errorf("byte %d: column %q with a damaged head has counts or an alphabet", at, c.Name)
				}
				if c.Base() >= 0 || c.Body > 0 || c.Name != good.Columns[i].Name {
					continue
				}
				if _, err := c.Decode(c.Inline(), nil); !fault.Is(err, fault.Corrupt) {
					t.Errorf("byte %d: column %q with a damaged head decodes: %v", at, c.Name, err)
				}
			}
		}
	}
	if found < 20 {
		t.Errorf("only %d damaged heads were found", found)
	}
}

// What readers find at the same time they share, and it is counted once.
func TestHeadsAreReadOnce(t *testing.T) {
	e := Encode(gen(rand.New(rand.NewPCG(4, 4)), 3000))
	h, err := DecodeHeader(e.Header)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	grown := int64(0)
	h.Watch(func(n int64) {
		mu.Lock()
		defer mu.Unlock()
		grown += n
	})
	heads := make([][]*Vector, 4)
	var all sync.WaitGroup
	for g := range heads {
		all.Go(func() {
			for i := range h.Columns {
				heads[g] = append(heads[g], h.Columns[i].Head())
				h.Alphabet(i)
			}
		})
	}
	all.Wait()
	least := int64(0)
	for i := range h.Columns {
		for g := range heads {
			if heads[g][i] != heads[0][i] {
				t.Fatalf("two readers have two heads of column %q", h.Columns[i].Name)
			}
		}
		if c := &h.Columns[i]; heads[0][i] != nil && c.entries > 0 {
			least += heads[0][i].Size() + int64(4*len(c.Counts()))
		}
	}
	if grown < least || grown > 2*least+int64(200*len(h.Columns)) {
		t.Errorf("the header says it grew by %d bytes, its heads have %d", grown, least)
	}
}

func TestHeaderAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates on its own")
	}
	e := Encode(gen(rand.New(rand.NewPCG(4, 4)), 3000))
	names := func([]byte) string { return "name" }
	n := testing.AllocsPerRun(100, func() {
		if _, err := DecodeNamed(e.Header, names); err != nil {
			t.Fatal(err)
		}
	})
	if n > 10 {
		t.Errorf("a header takes %v allocations", n)
	}
}
