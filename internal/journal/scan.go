package journal

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

// window reads ranges of a file through one buffer. Bytes that the file does
// not have (it was cut meanwhile) read as zeros.
type window struct {
	r     io.ReaderAt
	size  int64
	buf   []byte
	start int64
}

const readAhead = 256 << 10

// at returns bytes [off, off+n), fewer at the end of the file. They are lent
// until the next call.
func (w *window) at(off int64, n int) ([]byte, error) {
	n = int(min(int64(n), w.size-off))
	if n <= 0 {
		return nil, nil
	}
	if off >= w.start && off+int64(n) <= w.start+int64(len(w.buf)) {
		return w.buf[off-w.start:][:n], nil
	}
	want := int(min(int64(max(n, readAhead)), w.size-off))
	if cap(w.buf) < want {
		w.buf = make([]byte, want)
	}
	w.buf, w.start = w.buf[:want], off
	got, err := w.r.ReadAt(w.buf, off)
	if err != nil && !errors.Is(err, io.EOF) {
		w.buf = w.buf[:0]
		return nil, fmt.Errorf("read journal at %d: %w", off, err)
	}
	clear(w.buf[got:])
	return w.buf[:n], nil
}

func (w *window) forget() { w.buf = w.buf[:0] }

// verdict says what stands at an offset.
type verdict uint8

const (
	whole verdict = iota // a frame that continues the chain
	ended                // nothing but zeros, or the end of the file
	bad                  // other bytes
)

// scanner walks the frames of one file along the chain.
type scanner struct {
	win   window
	chain *chain
	pos   Position // of the last whole frame
	next  uint64   // seq of the next frame
	group uint64   // of the last whole frame
	off   int64    // behind the last whole frame
	sum   [32]byte // scratch that must not escape per frame
}

func newScanner(r io.ReaderAt, size int64, h *header) *scanner {
	return &scanner{win: window{r: r, size: size}, chain: newChain(h.id), pos: h.prev, next: h.first, off: headerSize}
}

// frame reads the frame at the scanner's place and steps over it if it is
// whole. why explains a bad one.
func (s *scanner) frame() (f frame, v verdict, why string, err error) {
	if s.off >= s.win.size {
		return f, ended, "", nil
	}
	f, why, err = s.check(s.off)
	if err != nil {
		return f, bad, "", err
	}
	if why == "" {
		s.pos, s.next, s.group, s.off = Position{f.seq, f.hash}, f.seq+1, f.group, f.end()
		return f, whole, "", nil
	}
	zeros, err := s.zerosFrom(s.off)
	if err != nil || !zeros {
		return f, bad, why, err
	}
	return f, ended, "", nil
}

// check decodes the frame at off and holds it against the chain.
func (s *scanner) check(off int64) (f frame, why string, err error) {
	f, why, err = s.decode(off)
	if err != nil || why != "" {
		return f, why, err
	}
	if f.seq != s.next {
		return f, fmt.Sprintf("frame states seq %d, expected %d", f.seq, s.next), nil
	}
	if f.group != f.seq && (f.group != s.group || f.group == 0) {
		return f, fmt.Sprintf("frame %d states group %d", f.seq, f.group), nil
	}
	s.sum = s.chain.next(&s.pos.Hash, f.head, f.sealed)
	if s.sum != f.hash {
		return f, fmt.Sprintf("frame %d does not continue the chain", f.seq), nil
	}
	return f, "", nil
}

func (s *scanner) decode(off int64) (f frame, why string, err error) {
	head, err := s.win.at(off, frameHeaderSize)
	if err != nil {
		return f, "", err
	}
	n, why := frameLen(head)
	if why != "" {
		return f, why, nil
	}
	if off+int64(n) > s.win.size {
		return f, fmt.Sprintf("frame of %d bytes reaches beyond the file", n), nil
	}
	b, err := s.win.at(off, n)
	if err != nil {
		return f, "", err
	}
	return decodeFrame(b, off), "", nil
}

func (s *scanner) zerosFrom(off int64) (bool, error) {
	for off < s.win.size {
		b, err := s.win.at(off, readAhead)
		if err != nil {
			return false, err
		}
		for _, c := range b {
			if c != 0 {
				return false, nil
			}
		}
		off += int64(len(b))
	}
	return true, nil
}

// behind describes the frames of this journal that stand behind a bad one.
type behind struct {
	survivors int    // frames that verify
	highest   uint64 // highest seq among them
	proof     int64  // offset of the frame that proves damage, or 0
}

// lookBehind searches the bytes from the scanner's place on for frames of this
// journal (spec/journal.md, "Reading after a crash"). genuine, if not nil,
// tells whether a payload opens with the journal's key at a seq.
//
// Work is bounded: bytes full of false frames are themselves no crash.
func (s *scanner) lookBehind(genuine func(seq uint64, sealed []byte) bool) (behind, error) {
	var out behind
	known := map[int64][][32]byte{} // chain values that a frame at an offset may follow
	bad, why, err := s.decode(s.off)
	if err != nil {
		return out, err
	}
	if raw, err := s.win.at(s.off, frameHeaderSize); err != nil {
		return out, err
	} else if len(raw) == frameHeaderSize {
		known[-1] = append(known[-1], [32]byte(raw[24:])) // for a frame whose size is what broke
	}
	if why == "" {
		sum := s.chain.next(&s.pos.Hash, bad.head, bad.sealed)
		known[bad.end()] = append(known[bad.end()], sum)
	}
	budget := 8*(s.win.size-s.off) + 1<<20
	for off := s.off + 1; off+frameHeaderSize < s.win.size; {
		off, err = s.findMagic(off)
		if err != nil || off < 0 {
			return out, err
		}
		f, why, err := s.decode(off)
		if err != nil {
			return out, err
		}
		if why != "" || f.seq < s.next || f.group == 0 || f.group > f.seq {
			off++
			continue
		}
		if budget -= int64(len(f.sealed)) + frameHeaderSize; budget < 0 {
			out.proof = off
			return out, nil
		}
		ok := genuine != nil && genuine(f.seq, f.sealed)
		for _, prev := range append(known[off], known[-1]...) {
			ok = ok || s.chain.next(&prev, f.head, f.sealed) == f.hash
		}
		known[f.end()] = append(known[f.end()], f.hash)
		if !ok {
			off++
			continue
		}
		out.survivors++
		out.highest = max(out.highest, f.seq)
		if f.group > s.next && out.proof == 0 {
			out.proof = off
		}
		off = f.end()
	}
	return out, nil
}

// findMagic returns the offset of the next frame magic at or behind off, or -1.
func (s *scanner) findMagic(off int64) (int64, error) {
	for off < s.win.size {
		b, err := s.win.at(off, readAhead)
		if err != nil {
			return 0, err
		}
		if i := bytes.Index(b, []byte(frameMagic)); i >= 0 {
			return off + int64(i), nil
		}
		if len(b) < len(frameMagic) {
			break
		}
		off += int64(len(b) - len(frameMagic) + 1)
	}
	return -1, nil
}
