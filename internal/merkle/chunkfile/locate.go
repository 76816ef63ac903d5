package chunkfile

import (
	"bytes"
	"encoding/binary"

	"github.com/meshtrail/meshtrail/internal/merkle"
)

// findEnd finds the trailer. Its place is the end of the file; if the root
// there is not the one wanted, the root is looked for in front of it, because
// then something was appended.
func (v *verifier) findEnd() error {
	if err := v.readLast(); err != nil {
		return err
	}
	if v.decoded && v.trailer.root == v.want {
		return nil
	}
	size := v.end
	found, err := v.search(v.want[:], func(at int64) (bool, error) {
		v.end = at + merkle.Size
		if v.end == size || v.end < minSize {
			return false, nil
		}
		err := v.readLast()
		return v.decoded, err
	})
	if err != nil {
		return err
	}
	if found {
		v.report(v.end, size-v.end, PartTail, -1, "%d bytes were appended", size-v.end)
		return nil
	}
	v.end = size
	return v.readLast()
}

// readLast reads and decodes the 64 bytes before v.end.
func (v *verifier) readLast() error {
	v.last = make([]byte, TrailerSize)
	if err := readFull(v.r, v.last, v.end-TrailerSize); err != nil {
		return err
	}
	t, err := decodeTrailer(v.last, v.end)
	v.trailer, v.decoded = t, err == nil
	return nil
}

// findTable loads the table from where the trailer says that it is, or, if
// nothing speaks for that, from where the row of the header is found.
func (v *verifier) findTable() (bool, error) {
	row := entry{HeaderSize, merkle.LeafHash(v.header)}
	if v.decoded {
		if err := v.loadTable(v.trailer.tableAt(v.end), int(v.trailer.chunks)+2); err != nil {
			return false, err
		}
		if v.table[0] == row || v.trust(v.table) {
			return true, nil
		}
	}
	var at int64
	found, err := v.search(row.appendTo(nil), func(hit int64) (bool, error) {
		at = hit
		return true, nil
	})
	if err != nil || !found {
		return v.decoded, err
	}
	return true, v.loadTableToEnd(at)
}

// loadTable reads a table of this many rows.
func (v *verifier) loadTable(at int64, rows int) error {
	b := make([]byte, rows*EntrySize)
	if err := readFull(v.r, b, at); err != nil {
		return err
	}
	v.tableAt, v.table, v.complete = at, make([]entry, 0, rows), true
	for ; len(b) > 0; b = b[EntrySize:] {
		v.table = append(v.table, entry{binary.LittleEndian.Uint32(b), merkle.Hash(b[4:])})
	}
	return nil
}

// loadTableToEnd reads a table of which only the start is known. It ends where
// its lengths add up to all the data before it, else in front of a trailer,
// else where the file ends.
func (v *verifier) loadTableToEnd(at int64) error {
	// Each part has a byte at least: what the data cannot hold is no row.
	rows := int(min((v.end-at)/EntrySize, at-HeaderSize+1, MaxChunks+2))
	if err := v.loadTable(at, rows); err != nil {
		return err
	}
	var sum int64
	for i, e := range v.table {
		if sum += int64(e.length); sum == at && i > 0 {
			v.table = v.table[:i+1]
			return nil
		}
	}
	if n := v.end - TrailerSize - at; n%EntrySize == 0 && n/EntrySize > 1 && n/EntrySize <= int64(rows) {
		v.table = v.table[:n/EntrySize]
		return nil
	}
	v.complete = false
	return nil
}

// search calls hit with each place where pattern is found, from the front,
// until hit returns true.
func (v *verifier) search(pattern []byte, hit func(at int64) (bool, error)) (bool, error) {
	limit := v.end
	buf := make([]byte, min(256<<10, limit))
	for start := int64(0); start < limit; {
		p := buf[:min(int64(len(buf)), limit-start)]
		if err := readFull(v.r, p, start); err != nil {
			return false, err
		}
		for from := 0; ; {
			i := bytes.Index(p[from:], pattern)
			if i < 0 {
				break
			}
			from += i + 1
			if ok, err := hit(start + int64(from) - 1); ok || err != nil {
				return ok, err
			}
		}
		if start+int64(len(p)) == limit {
			break
		}
		start += int64(len(p) - len(pattern) + 1)
	}
	return false, nil
}
