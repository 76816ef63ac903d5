package filetail

import (
	"context"
	"os"
	"path/filepath"

	"github.com/zeebo/xxh3"

	"github.com/meshtrail/meshtrail/internal/receive"
)

// redo hands in again, under their old identity, the batches of which the last
// run did not learn whether they were kept.
func (t *Tailer) redo(ctx context.Context) error {
	files, intents := t.point.remembered()
	for i := range intents {
		if err := t.redoOne(ctx, &intents[i], files); err != nil {
			return err
		}
	}
	return nil
}

func (t *Tailer) redoOne(ctx context.Context, in *intent, files map[string]fileState) error {
	set := receive.NewSet()
	defer set.Release()
	done := &doneInfo{Lane: in.Lane}
	missing := 0
	for _, r := range in.Regions {
		st, ok := files[r.Key]
		if !ok || r.To < r.From || r.To-r.From > 64<<20 {
			missing++
			continue
		}
		data, next, ok := t.reread(r, st)
		if !ok {
			missing++
			continue
		}
		l := makeLabels(st.Path, t.o.Attributes)
		p := parser{format: t.o.Format, record: t.o.Record, set: set, labels: &l, join: t.joiner()}
		p.parse(data, true)
		done.Files = append(done.Files, next)
	}
	if missing > 0 {
		t.count.unrepeated.Inc()
		t.log.Error("bytes of the last batch before the restart are gone; if it was not kept, they are lost", "files", missing, "of", len(in.Regions))
	}
	if len(set.Raws) > 0 {
		if err := t.ingest(ctx, in, set.Raws); err != nil {
			return err
		}
		t.count.redone.Inc()
	}
	return t.write(ctx, false, &change{Done: done})
}

// reread returns the bytes of a range and the file's state after it.
func (t *Tailer) reread(r region, st fileState) ([]byte, fileState, bool) {
	f := openState(st)
	if f == nil {
		return nil, st, false
	}
	defer f.f.Close()
	data := make([]byte, r.To-r.From)
	if _, err := f.f.ReadAt(data, r.From); err != nil || xxh3.Hash(data) != r.Sum {
		return nil, st, false
	}
	f.key, f.path = st.Key, st.Path
	f.head = st.Head
	f.off.Store(r.From)
	f.advance(r.To, data)
	return data, f.state(st.At), true
}

// openState opens the file that st is about: under its name, or under another
// name in the same folder, where a rotation left it. nil: it is gone.
func openState(st fileState) *file {
	open := func(path string) *file {
		f, err := openLog(path)
		if err != nil {
			return nil
		}
		info, err := f.Stat()
		if err != nil || !info.Mode().IsRegular() {
			f.Close()
			return nil
		}
		id := identify(info)
		if id.Born = born(f); !id.sameAs(st.ident) {
			f.Close()
			return nil
		}
		return &file{id: id, f: f}
	}
	if f := open(st.Path); f != nil {
		return f
	}
	dir := filepath.Dir(st.Path)
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if !e.Type().IsRegular() {
			continue
		}
		if info, err := e.Info(); err == nil {
			if id := identify(info); id.Dev == st.Dev && id.Ino == st.Ino {
				if f := open(filepath.Join(dir, e.Name())); f != nil {
					return f
				}
			}
		}
	}
	return nil
}
