package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/meshtrail/meshtrail/internal/vfs"
)

// FindingKind says what is wrong at a place of the journal.
type FindingKind string

// The kinds of findings. All but Torn mean that durable bytes were changed.
const (
	Damaged   FindingKind = "damaged"   // bytes that do not verify
	Missing   FindingKind = "missing"   // frames that should be there are not
	Foreign   FindingKind = "foreign"   // a file that belongs elsewhere
	Trailing  FindingKind = "trailing"  // bytes that belong to no frame
	Rewritten FindingKind = "rewritten" // the chain verifies but misses the anchor
	Gap       FindingKind = "gap"       // an earlier damage, kept in quarantine
	Torn      FindingKind = "torn"      // an unfinished write at the very end
)

// A Finding names a place that does not verify.
type Finding struct {
	Kind   FindingKind `json:"kind"`
	File   string      `json:"file"` // below the journal folder; "" for the whole journal
	Offset int64       `json:"offset"`
	Seq    uint64      `json:"seq"` // of the first frame concerned
	Detail string      `json:"detail"`
}

// fileScan is what one file turned out to hold.
type fileScan struct {
	name   string
	size   int64
	header header

	from, to Position // chain before the first and after the last whole frame
	frames   uint64
	next     uint64 // seq of the next frame
	end      int64  // behind the last whole frame
	group    int64  // offset of the last group, or end
	finding  *Finding
	behind   behind
	anchored bool // the anchored frame is here
}

// walker scans files the same way for Open and for Verify.
type walker struct {
	fs     vfs.FS
	anchor *Position
	// genuine is nil where there is no key.
	genuine func(id journalID) func(seq uint64, sealed []byte) bool
}

// list returns the journal files in order.
func list(f vfs.FS) ([]string, error) {
	dir, err := f.ReadDir(".")
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		return nil, fmt.Errorf("list journal: %w", err)
	}
	var names []string
	for _, e := range dir {
		if strings.HasSuffix(e.Name(), suffix) {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// readHeader returns the header of a file, or what is wrong with it.
func readHeader(f vfs.FS, name string) (h header, why string, err error) {
	file, err := f.Open(name)
	if err != nil {
		return h, "", fmt.Errorf("open journal file %s: %w", name, err)
	}
	defer file.Close()
	st, err := file.Stat()
	if err != nil {
		return h, "", fmt.Errorf("read journal file %s: %w", name, err)
	}
	w := window{r: file, size: min(st.Size(), headerSize)}
	b, err := w.at(0, headerSize)
	if err != nil {
		return h, "", fmt.Errorf("read journal file %s: %w", name, err)
	}
	h, why = decodeHeader(b)
	if first, ok := parseFileName(name); why == "" && (!ok || first != h.first) {
		why = fmt.Sprintf("file states first seq %d, which is file %s", h.first, fileName(h.first))
	}
	return h, why, nil
}

// scan reads a file whose header is h. next is the header of the file behind
// it, nil if that cannot be read or the file is the last one.
func (w *walker) scan(name string, h header, next *header, last bool) (*fileScan, error) {
	file, err := w.fs.Open(name)
	if err != nil {
		return nil, fmt.Errorf("open journal file %s: %w", name, err)
	}
	defer file.Close()
	st, err := file.Stat()
	if err != nil {
		return nil, fmt.Errorf("read journal file %s: %w", name, err)
	}
	s := newScanner(file, st.Size(), &h)
	out := &fileScan{name: name, size: st.Size(), header: h, from: h.prev, group: headerSize}
	var genuine func(uint64, []byte) bool
	if w.genuine != nil {
		genuine = w.genuine(h.id)
	}
	reread := false
	for out.finding == nil {
		before, off := *s, s.off
		f, v, why, err := s.frame()
		if err != nil {
			return nil, fmt.Errorf("read journal file %s: %w", name, err)
		}
		if v == whole {
			reread = false
			if kind, why := w.reject(&f, genuine); why != "" {
				s.pos, s.next, s.group, s.off = before.pos, before.next, before.group, before.off
				seq := f.seq
				if out.behind, err = s.lookBehind(genuine); err != nil {
					return nil, fmt.Errorf("read journal file %s: %w", name, err)
				}
				out.finding = &Finding{kind, name, off, seq, why}
				break
			}
			if f.group == f.seq {
				out.group = off
			}
			out.frames++
			out.anchored = out.anchored || w.anchor != nil && f.seq == w.anchor.Seq
			continue
		}
		if err := w.judge(out, s, v, why, next, last, genuine); err != nil {
			return nil, fmt.Errorf("read journal file %s: %w", name, err)
		}
		if out.finding != nil && out.finding.Kind != Torn && last && !reread {
			// The file may have been written while it was read. By now the frame
			// is whole if it ever was.
			reread, out.finding, out.behind = true, nil, behind{}
			s.win.forget()
			continue
		}
		break
	}
	out.to, out.next, out.end = s.pos, s.next, s.off
	if out.frames == 0 {
		out.group = out.end
	}
	return out, nil
}

// reject says why a frame that continues the chain is not accepted.
func (w *walker) reject(f *frame, genuine func(uint64, []byte) bool) (FindingKind, string) {
	if w.anchor != nil && f.seq == w.anchor.Seq {
		if f.hash != w.anchor.Hash {
			return Rewritten, fmt.Sprintf("frame %d has chain value %x, the anchor says %x", f.seq, f.hash[:8], w.anchor.Hash[:8])
		}
	}
	if genuine != nil && !genuine(f.seq, f.sealed) {
		return Damaged, fmt.Sprintf("frame %d continues the chain but does not open with the journal's key", f.seq)
	}
	return "", ""
}

// judge decides what the place is where the whole frames of a file end.
func (w *walker) judge(out *fileScan, s *scanner, v verdict, why string, next *header, last bool, genuine func(uint64, []byte) bool) error {
	at := func(k FindingKind, detail string) {
		out.finding = &Finding{k, out.name, s.off, s.next, detail}
	}
	anchored := w.anchor != nil && w.anchor.Seq >= s.next
	follows := next != nil && next.prev == s.pos // a gap follows as well: it names the damage
	if v == ended {
		switch {
		case next != nil && !follows && (next.first != s.next || next.gap):
			at(Missing, fmt.Sprintf("the file ends before frame %d, the next one starts at frame %d: a file between was removed, or the end of this one cut", s.next, next.first))
		case last && anchored:
			at(Missing, fmt.Sprintf("the journal ends before frame %d, but frame %d is anchored", s.next, w.anchor.Seq))
		}
		return nil
	}
	var err error
	if out.behind, err = s.lookBehind(genuine); err != nil {
		return err
	}
	switch {
	case follows && !next.gap:
		at(Trailing, "bytes that belong to no frame: "+why)
	case !last:
		at(Damaged, why)
	case anchored:
		at(Damaged, fmt.Sprintf("%s, and frame %d is anchored", why, w.anchor.Seq))
	case out.behind.proof > 0:
		at(Damaged, fmt.Sprintf("%s, and a frame at offset %d was written after it was durable", why, out.behind.proof))
	default:
		at(Torn, why)
	}
	return nil
}

// link holds the header of a file against the chain before it. before is nil
// for the first file.
func (w *walker) link(name string, h *header, before *fileScan) *Finding {
	at := func(k FindingKind, format string, args ...any) *Finding {
		return &Finding{k, name, 0, h.first, fmt.Sprintf(format, args...)}
	}
	if before == nil {
		if w.anchor != nil && w.anchor.Seq > 0 && w.anchor.Seq == h.prev.Seq && w.anchor.Hash != h.prev.Hash {
			return at(Rewritten, "file continues from a chain value of frame %d that is not the anchored one", h.prev.Seq)
		}
		return nil
	}
	switch {
	case h.id != before.header.id:
		return at(Foreign, "file belongs to journal %s, not %s", h.id, before.header.id)
	case h.prev != before.to:
		return at(Foreign, "file continues from frame %s, the file before ends at %s", h.prev, before.to)
	}
	return nil
}
