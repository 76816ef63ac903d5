package journal

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/meshtrail/meshtrail/internal/crypt"
	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/vfs"
)

// Recovery says what Open found and did.
type Recovery struct {
	Frames uint64 // whole frames in the journal
	// Torn is set when an unfinished write was cut: a group that was never
	// acknowledged.
	Torn *Loss
	// Damage lists the bytes that could not be trusted, in order. They were
	// moved to quarantine. Whoever opens the journal MUST report them.
	Damage []Loss
}

// A Loss is a range of bytes that was taken out of the journal.
type Loss struct {
	File   string // journal file
	Offset int64
	Bytes  int64  // to the end of the file, without trailing zeros
	Moved  string // its copy in quarantine; "" if nothing was worth keeping
	Detail string
}

// Err returns the damage as a fault.Tampered, or nil.
func (r *Recovery) Err() error {
	if len(r.Damage) == 0 {
		return nil
	}
	d := r.Damage[0]
	return fault.WithHint(
		fault.Errorf(fault.Tampered, "journal file %s at offset %d: %s (%d ranges moved to quarantine)", d.File, d.Offset, d.Detail, len(r.Damage)),
		"acknowledged records may be in the quarantined bytes; keep them for whoever investigates")
}

// Open opens a journal that exists (else fault.NotFound) and makes it ready for
// Replay and Append. Damage does not make it fail: see Recovery. A key that is
// not the journal's does: fault.Tampered, and nothing is touched.
func Open(o Options) (*Journal, Recovery, error) {
	o.setDefaults()
	lock, err := o.FS.Lock(lockName)
	if err != nil {
		return nil, Recovery{}, fmt.Errorf("lock journal: %w", err)
	}
	j, rec, err := open(o)
	if err != nil {
		lock.Close()
		return nil, rec, fmt.Errorf("open journal: %w", err)
	}
	j.lock = lock
	go j.commitLoop()
	return j, rec, nil
}

func open(o Options) (*Journal, Recovery, error) {
	r := &recovery{o: o}
	if err := r.run(); err != nil {
		return nil, r.out, err
	}
	last := r.scans[len(r.scans)-1]
	j := &Journal{
		o: o, id: last.header.id,
		counts: newCounters(o.Metrics),
		work:   make(chan struct{}, 1), done: make(chan struct{}),
		next: last.next, head: last.to, tail: last.to, tailSeq: last.next,
		cipher: newCipher(o.sealer(), last.header.id),
		chain:  newChain(last.header.id), pending: &group{}, spare: &group{},
	}
	for _, s := range r.scans {
		j.files = append(j.files, fileInfo{s.name, s.header.first, s.header.prev, s.end, s.header.gap})
	}
	if err := j.ready(last); err != nil {
		return nil, r.out, err
	}
	return j, r.out, nil
}

// ready opens the last file for writing, cuts what is behind its frames and
// makes the rest durable for certain.
func (j *Journal) ready(last *fileScan) error {
	file, err := j.o.FS.OpenRW(last.name)
	if err != nil {
		return err
	}
	j.file, j.off, j.allocated = file, last.end, last.size
	if err = j.settleFile(last); err != nil {
		file.Close()
		return fmt.Errorf("prepare %s: %w", last.name, err)
	}
	return nil
}

func (j *Journal) settleFile(last *fileScan) error {
	if err := j.cutTail(); err != nil {
		return err
	}
	// An earlier process may have died of a failed sync, whose pages the kernel
	// shows but will not write. Only the last group can be such.
	b := make([]byte, last.end-last.group)
	if _, err := j.file.ReadAt(b, last.group); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if len(b) > 0 {
		if _, err := j.file.WriteAt(b, last.group); err != nil {
			return err
		}
	}
	// A full disk must not keep us from reading.
	if room := min(j.o.FileSize, max(minPreallocate, 2*j.off)); j.file.Preallocate(room) == nil {
		j.allocated = max(j.off, room)
	}
	return j.file.Sync()
}

// recovery brings the folder into a state that can be appended to.
type recovery struct {
	o      Options
	w      walker
	sealer *crypt.Sealer
	out    Recovery
	scans  []*fileScan
}

func (r *recovery) run() error {
	if r.o.Quarantine == nil {
		r.o.Quarantine = vfs.Sub(r.o.FS, "quarantine")
	}
	r.sealer = r.o.sealer()
	r.w = walker{fs: r.o.FS, anchor: r.o.Anchor, genuine: func(id journalID) func(uint64, []byte) bool {
		c := newCipher(r.sealer, id)
		return func(seq uint64, sealed []byte) bool {
			_, err := c.open(seq, sealed)
			return err == nil
		}
	}}
	if err := r.removeTemporary(); err != nil {
		return err
	}
	// Each round ends in a clean journal or takes damage out of it, after which
	// the chain up to there is clean.
	for range 1 << 20 {
		clean, err := r.round()
		if err != nil || clean {
			return err
		}
	}
	return fault.Errorf(fault.Internal, "recovery does not end")
}

func (r *recovery) removeTemporary() error {
	dir, err := r.o.FS.ReadDir(".")
	if err != nil {
		return err
	}
	for _, e := range dir {
		if strings.HasSuffix(e.Name(), suffix+tmpSuffix) {
			if err := r.o.FS.Remove(e.Name()); err != nil {
				return err
			}
		}
	}
	return nil
}

// round reads the journal from its first file. It returns false after it has
// taken the first damage out.
func (r *recovery) round() (clean bool, err error) {
	names, err := list(r.o.FS)
	if err != nil {
		return false, err
	}
	if len(names) == 0 {
		return false, fault.WithHint(fault.Errorf(fault.NotFound, "no journal file found"),
			"a journal is made once, by init; is this the right folder?")
	}
	headers, bad, err := r.headers(names)
	if err != nil {
		return false, err
	}
	r.scans, r.out.Frames = nil, 0
	for i, name := range names {
		var before *fileScan
		if i > 0 {
			before = r.scans[i-1]
		}
		if bad[i] != "" {
			at := &Finding{Kind: Damaged, File: name, Detail: bad[i]}
			return false, r.takeOut(names, headers, bad, i, before, 0, at, behind{})
		}
		if f := r.w.link(name, &headers[i], before); f != nil {
			return false, r.takeOut(names, headers, bad, i, before, 0, f, behind{})
		}
		var next *header
		if i+1 < len(names) && bad[i+1] == "" {
			next = &headers[i+1]
		}
		s, err := r.w.scan(name, headers[i], next, i+1 == len(names))
		if err != nil {
			return false, err
		}
		r.scans = append(r.scans, s)
		r.out.Frames += s.frames
		switch {
		case s.finding == nil:
		case s.finding.Kind == Torn && i+1 == len(names):
			err = r.cutTorn(s)
		case s.finding.Kind == Trailing:
			return false, r.takeTrailing(s)
		default:
			return false, r.takeOut(names, headers, bad, i, s, s.end, s.finding, s.behind)
		}
		if err != nil {
			return false, err
		}
	}
	return true, nil
}

// headers reads the header of each file. A file with another key's commitment
// ends the recovery.
func (r *recovery) headers(names []string) ([]header, []string, error) {
	headers, bad := make([]header, len(names)), make([]string, len(names))
	want := commitment(r.o.Key)
	for i, name := range names {
		h, why, err := readHeader(r.o.FS, name)
		if err != nil {
			return nil, nil, err
		}
		if why == "" && h.commitment != want {
			return nil, nil, fault.WithHint(fault.Errorf(fault.Tampered, "file %s was written with another key", name),
				"is this the root key of this data folder?")
		}
		if why == "" && !h.genuine(r.sealer) {
			why = "file header was not written with the journal's key"
		}
		headers[i], bad[i] = h, why
	}
	return headers, bad, nil
}

// cutTorn notes an unfinished write, which settleFile cuts. If whole frames of
// it survived, they are copied first: without an anchor behind them, a changed
// byte in the very last group looks the same.
func (r *recovery) cutTorn(s *fileScan) error {
	loss, err := r.copyOut(s.name, s.end, s.finding.Detail, s.behind.survivors > 0)
	r.out.Torn = &loss
	r.o.Logger.Warn("journal: cut an unfinished write", "file", s.name, "offset", s.end, "detail", loss.Detail, "copy", loss.Moved)
	return err
}
