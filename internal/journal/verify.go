package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/meshtrail/meshtrail/internal/vfs"
)

// Report is what Verify found.
type Report struct {
	Files  int    `json:"files"`
	Frames uint64 `json:"frames"` // that continue the chain
	Bytes  int64  `json:"bytes"`  // of headers and frames
	// Base is the position that the first file continues from; what came before
	// was released. Head is the last frame.
	Base Position `json:"base"`
	Head Position `json:"head"`
	// Findings are in the order of the journal.
	Findings []Finding `json:"findings,omitempty"`
	// Anchored says that the anchor was found in the chain. It is false without
	// an anchor, and when the anchored frame was released.
	Anchored bool `json:"anchored"`
}

// Tampered reports whether a finding proves that durable bytes were changed. A
// torn tail does not.
func (r *Report) Tampered() bool {
	return slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.Kind != Torn })
}

// Verify checks the chain of a journal folder without any key. anchor, if not
// nil, is a position that somebody else remembers: it must lie in the chain, or
// before it (then it was released). Verify only reads, and is safe on the
// folder of a running server. The error tells that files could not be read;
// what is wrong with them is in the report.
func Verify(f vfs.FS, anchor *Position) (Report, error) {
	var rep Report
	for range 16 {
		names, err := list(f)
		if err != nil {
			return rep, err
		}
		rep, err = verify(f, names, anchor)
		if err == nil && len(rep.Findings) == 0 {
			return rep, nil
		}
		// A server may have released or begun files meanwhile. Only what stands
		// in a folder that did not change is a finding.
		now, e := list(f)
		if e != nil {
			return rep, e
		}
		if slices.Equal(names, now) {
			return rep, err
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return rep, err
		}
	}
	return rep, nil
}

func verify(f vfs.FS, names []string, anchor *Position) (Report, error) {
	rep := Report{Files: len(names)}
	w := &walker{fs: f, anchor: anchor}
	if len(names) == 0 {
		rep.Findings = []Finding{{Kind: Missing, Detail: "the folder holds no journal file"}}
		return rep, nil
	}
	headers, whys := make([]header, len(names)), make([]string, len(names))
	for i, name := range names {
		var err error
		if headers[i], whys[i], err = readHeader(f, name); err != nil {
			return rep, err
		}
	}
	var before *fileScan
	for i, name := range names {
		h := headers[i]
		switch {
		case whys[i] != "" && before == nil:
			rep.Findings = append(rep.Findings, Finding{Kind: Damaged, File: name, Detail: whys[i]})
			continue
		case whys[i] != "":
			rep.Findings = append(rep.Findings, Finding{Kind: Damaged, File: name, Seq: before.next, Detail: whys[i]})
			// The chain says what the header ought to be.
			h = header{id: before.header.id, first: before.next, prev: before.to}
		default:
			if fd := w.linkAfter(name, &h, before); fd != nil {
				rep.Findings = append(rep.Findings, *fd)
			}
		}
		var next *header
		if i+1 < len(names) && whys[i+1] == "" {
			next = &headers[i+1]
		}
		s, err := w.scan(name, h, next, i+1 == len(names))
		if err != nil {
			return rep, err
		}
		rep.add(s, before == nil)
		before = s
	}
	if before != nil {
		rep.Head = before.to
	}
	return rep, nil
}

// linkAfter is link for files behind damage: where a finding tells already that
// the chain is broken, the next header is taken at its word.
func (w *walker) linkAfter(name string, h *header, before *fileScan) *Finding {
	if before != nil && before.finding != nil && before.finding.Kind != Trailing && h.id == before.header.id {
		return nil
	}
	fd := w.link(name, h, before)
	// A released gap is history, unless what it swallowed is anchored.
	lost := before != nil || w.anchor != nil && w.anchor.Seq > h.prev.Seq && w.anchor.Seq < h.first
	if fd == nil && h.gap && lost {
		fd = &Finding{Gap, name, 0, h.prev.Seq + 1, fmt.Sprintf("frames %d to %d were damaged: their bytes are in quarantine", h.prev.Seq+1, h.first-1)}
	}
	return fd
}

func (r *Report) add(s *fileScan, first bool) {
	if first {
		r.Base = s.from
	}
	r.Frames += s.frames
	r.Bytes += s.end
	if s.finding != nil {
		r.Findings = append(r.Findings, *s.finding)
	}
	r.Anchored = r.Anchored || s.anchored
}
