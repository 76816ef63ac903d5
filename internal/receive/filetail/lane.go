package filetail

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"github.com/zeebo/xxh3"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/pipeline"
	"github.com/meshtrail/meshtrail/internal/receive"
	"github.com/meshtrail/meshtrail/internal/record"
)

// A lane reads its share of the files, one batch at a time.
type lane struct {
	t      *Tailer
	n      int
	origin string
	seq    uint64 // of the next record
	buf    []byte // the batch's bytes; its capacity never changes
	region int    // the most that one file may fill without yielding a line
	held   []held
	joins  [streams]join // scratch of the parser

	mu    sync.Mutex
	queue []*file
	wake  chan struct{}
}

// held is a file whose bytes are in the batch.
type held struct {
	f    *file
	r    region
	data []byte
}

func newLane(t *Tailer, n int) *lane {
	region := 2*t.o.Record + 256<<10
	return &lane{
		t: t, n: n, wake: make(chan struct{}, 1), region: region,
		origin: t.o.Agent + "/" + t.o.Name + "/" + t.point.id + "/" + strconv.Itoa(n),
		buf:    make([]byte, 0, t.o.Batch+region+winSize),
	}
}

// push gives the lane a file to read.
func (l *lane) push(f *file) {
	l.mu.Lock()
	l.queue = append(l.queue, f)
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// pop takes the next file, nil if there is none.
func (l *lane) pop() *file {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.queue) == 0 {
		return nil
	}
	f := l.queue[0]
	l.queue = append(l.queue[:0], l.queue[1:]...)
	return f
}

func (l *lane) run(ctx context.Context) error {
	for {
		select {
		case <-l.wake:
		case <-ctx.Done():
			return ctx.Err()
		}
		for f := l.pop(); f != nil; f = l.pop() {
			if err := l.batch(ctx, f); err != nil {
				return err
			}
		}
	}
}

// batch fills one batch from f and the files queued behind it, and sees it
// through.
func (l *lane) batch(ctx context.Context, f *file) error {
	set := receive.NewSet()
	defer set.Release()
	l.buf, l.held = l.buf[:0], l.held[:0]
	p := l.parser(set)
	for ; f != nil; f = l.pop() {
		if err := l.gather(f, p); err != nil {
			return err
		}
		if len(l.buf) >= l.t.o.Batch {
			break
		}
	}
	l.joins = p.joins
	if len(l.held) == 0 {
		return nil
	}
	if len(set.Raws) > 0 {
		in := &intent{Lane: l.n, Origin: l.origin, Epoch: l.t.point.epoch, Seq: l.seq}
		for i := range l.held {
			in.Regions = append(in.Regions, l.held[i].r)
		}
		if err := l.t.write(ctx, true, &change{Intent: in}); err != nil {
			return err
		}
		if err := l.t.ingest(ctx, in, set.Raws); err != nil {
			return err
		}
		l.seq += uint64(len(set.Raws))
		l.t.count.partial.Add(float64(p.pieces))
	}
	return l.commit(ctx)
}

func (l *lane) parser(set *receive.Set) *parser {
	return &parser{format: l.t.o.Format, record: l.t.o.Record, set: set, joins: l.joins, join: l.t.joiner()}
}

// gather adds what f has to the batch and holds f until the batch is durable.
// A file that has nothing goes back at once.
func (l *lane) gather(f *file, p *parser) error {
	taken, err := l.take(f, p)
	if errors.Is(err, truncatedError{}) {
		l.truncated(f)
		if err := l.t.write(context.Background(), false, l.fileChange(f)); err != nil {
			return err
		}
		taken, err = l.take(f, p)
	}
	if err != nil {
		l.t.count.errors.Inc()
		l.t.log.Warn("read log file; it is tried again", "file", f.path, "err", err)
	}
	if len(taken) == 0 {
		l.t.set.release(f)
		return nil
	}
	off := f.off.Load()
	l.held = append(l.held, held{f, region{Key: f.key, From: off, To: off + int64(len(taken)), Sum: xxh3.Hash(taken)}, taken})
	return nil
}

func (l *lane) fileChange(f *file) *change {
	st := f.state(l.t.set.scanned.Load())
	return &change{File: &st}
}

// take reads and parses. What it returns is at the end of buf.
func (l *lane) take(f *file, p *parser) ([]byte, error) {
	st, err := f.f.Stat()
	if err != nil {
		return nil, err
	}
	now, size, off := time.Now(), st.Size(), f.off.Load()
	if size < off {
		return nil, truncatedError{}
	}
	last := f.size
	if size != f.size {
		f.size, f.grown = size, now
	}
	if size == off {
		return nil, nil
	}
	start := len(l.buf)
	p.labels = &f.labels
	for want := max(l.t.o.Batch-start, 64<<10); ; want = l.region {
		buf, err := f.read(l.buf, int(min(int64(want), size-off)))
		if err != nil {
			f.size = last
			return nil, err
		}
		data := buf[start:]
		taken := p.parse(data, false)
		full := len(data) >= l.region
		if taken == 0 && want < l.region && int64(len(data)) < size-off {
			continue // a long line: all of it
		}
		if taken == 0 && len(data) > 0 && (full || l.waited(f, data, now, p.ended)) {
			taken = p.parse(data, true)
		}
		l.buf = buf[:start+taken]
		return data[:taken], nil
	}
}

// waited reports whether what is unfinished at f's offset has waited long
// enough: a line that stopped growing, or a split line whose next part did not
// come although other lines did. Whole lines that may be a part of a stack trace
// wait shorter.
func (l *lane) waited(f *file, data []byte, now time.Time, whole bool) bool {
	if f.stuck.IsZero() || f.stuckOff != f.off.Load() {
		f.stuck, f.stuckOff = now, f.off.Load()
	}
	since := f.grown
	if bytes.IndexByte(data, '\n') >= 0 {
		since = f.stuck
	}
	return now.Sub(since) >= l.t.o.Flush || whole && now.Sub(f.grown) >= l.t.o.MultilineWait
}

// truncated begins a file again and counts what is known to be lost.
func (l *lane) truncated(f *file) {
	lost := max(f.size-f.off.Load(), 0)
	l.t.count.truncated.Inc()
	l.t.count.unread.Add(float64(lost))
	l.t.log.Warn("log file was truncated or overwritten; it is read from its start", "file", f.path, "offset", f.off.Load(), "bytes_unread_at_truncate", lost)
	f.restart()
	f.size = 0
}

// commit moves the files past what is durable.
func (l *lane) commit(ctx context.Context) error {
	done := &doneInfo{Lane: l.n}
	total := 0
	for i := range l.held {
		h := &l.held[i]
		h.f.advance(h.r.To, h.data)
		done.Files = append(done.Files, h.f.state(l.t.set.scanned.Load()))
		total += len(h.data)
	}
	if err := l.t.write(ctx, false, &change{Done: done}); err != nil {
		return err
	}
	l.t.count.bytes.Add(float64(total))
	for i := range l.held {
		if f := l.held[i].f; f.size > f.off.Load() {
			l.push(f)
		} else {
			l.t.set.release(f)
		}
	}
	return nil
}

// write changes the checkpoint, trying for as long as it takes: without it
// nothing may go on.
func (t *Tailer) write(ctx context.Context, sync bool, c *change) error {
	return t.retry(ctx, "write checkpoint", func() error { return t.point.write(sync, c) })
}

// ingest hands a batch in, trying for as long as it takes.
func (t *Tailer) ingest(ctx context.Context, in *intent, raws []record.Raw) error {
	err := t.retry(ctx, "hand lines in", func() error {
		out, err := t.o.Intake.Ingest(ctx, &pipeline.Request{
			Tenant: t.o.Tenant, Source: t.source(), Platform: t.o.Platform, Raws: raws,
			ID: record.BatchID{Origin: in.Origin, Epoch: in.Epoch, Seq: in.Seq},
		})
		if err == nil && len(out.Refused) > 0 {
			t.log.Warn("lines were refused and are kept as dead letters", "lines", len(out.Refused), "reason", out.Refused[0].Reason)
		}
		return err
	})
	if err == nil {
		t.count.records.Add(float64(len(raws)))
	}
	return err
}

func (t *Tailer) retry(ctx context.Context, what string, f func() error) error {
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, 15*time.Second) {
		err := f()
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		t.log.Error(what+": it is tried again", "err", err, "kind", fault.KindOf(err).String(), "pause", pause)
		timer := time.NewTimer(pause/2 + rand.N(pause/2))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
}
