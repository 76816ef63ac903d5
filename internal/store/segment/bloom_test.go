package segment

import "testing"

// buildIndex returns the rows of a token index of kind 1 over blocks with these
// tokens, as version 1 wrote it.
func buildIndex(lists [][]uint64) (rows []byte, n int) {
	const bitsPerToken = 12
	total, most := 0, 0
	for _, l := range lists {
		total += len(l)
		most = max(most, len(l))
	}
	tokens := min(most, 2*total/max(len(lists), 1))
	n = max(1, (tokens*bitsPerToken+partSize*8-1)/(partSize*8))
	rows = make([]byte, n*len(lists)*partSize)
	for b, list := range lists {
		for _, h := range list {
			part := rows[(partOf(h, n)*len(lists)+b)*partSize:]
			for w, s := range salts {
				part[w*8+int(uint32(h)*s>>29)] |= 1 << (uint32(h) * s >> 26 & 7)
			}
		}
	}
	return rows, n
}

// TestBloomFindsWhatIsThere holds the reader of kind 1 against its filters.
func TestBloomFindsWhatIsThere(t *testing.T) {
	var list []uint64
	for i := range 5000 {
		list = append(list, HashToken(string(rune(i)), 7))
	}
	rows, n := buildIndex([][]uint64{nil, list})
	for _, h := range list {
		p := newProbe(h)
		if row := rows[partOf(h, n)*2*partSize:]; !p.in(row[partSize:]) || p.in(row) {
			t.Fatalf("token %x is not in its filter", h)
		}
	}
}
