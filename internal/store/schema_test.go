package store

import (
	mrand "math/rand/v2"
	"testing"

	"github.com/meshtrail/meshtrail/internal/schema"
	"github.com/meshtrail/meshtrail/internal/vfs/memfs"
)

// TestSegmentsNameTheDictionary: sealed and merged segments say under which version
// of it their records were written, in the ledger too.
func TestSegmentsNameTheDictionary(t *testing.T) {
	v := newVault(t, memfs.New())
	o := &oracle{}
	s := v.opened()
	v.seals(mrand.New(mrand.NewPCG(4, 4)), o, 4, 30)
	for _, merged := range []bool{false, true} {
		if merged {
			v.compact(-1)
			if s.Status().Compactions == 0 {
				t.Error("nothing was merged")
			}
		}
		for _, leaf := range s.Segments() {
			if leaf.MinSchema != schema.Version || leaf.MaxSchema != schema.Version {
				t.Errorf("segment %s is of the dictionary %d to %d", leaf.ID, leaf.MinSchema, leaf.MaxSchema)
			}
		}
		if len(s.Segments()) == 0 {
			t.Error("no segments")
		}
	}
}
