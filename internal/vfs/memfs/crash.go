package memfs

import (
	"maps"
	"math/rand/v2"
	"path"
	"slices"
)

// chance is how much of what was not synced survives.
type chance int

const (
	nothing chance = iota
	some           // each thing by itself
	prefix         // what was done before a random moment (names only)
	everything
	chances
)

// keep draws whether one thing survives.
func (c chance) keep(rng *rand.Rand) bool {
	switch c {
	case nothing:
		return false
	case everything:
		return true
	}
	return rng.IntN(2) == 0
}

// CrashClone returns the FS that a machine might find after power loss at this
// moment: all synced content and names, and of the rest what rng leaves. m goes
// on unharmed, so one run yields many clones. In the clone everything is
// durable, nothing is locked and no limit is set. rng is used under a lock and
// by nobody else meanwhile; the same seed and history give the same clone.
//
// The extremes (nothing kept, everything kept) are drawn as often as mixtures,
// because that is where programs break.
func (m *FS) CrashClone(rng *rand.Rand) *FS {
	m.mu.Lock()
	defer m.mu.Unlock()
	names := maps.Clone(m.disk)
	m.survivingNames(names, chance(rng.IntN(int(chances))), rng)

	c := New()
	for dir := range m.dirs {
		c.mkdirAll(dir)
	}
	data := chance(rng.IntN(int(chances)))
	for _, name := range slices.Sorted(maps.Keys(names)) {
		ino := names[name].afterCrash(data, rng)
		c.mkdirAll(path.Dir(name))
		c.names[name], c.disk[name] = ino, ino
		c.used += ino.size
	}
	return c
}

// survivingNames applies to names the pending operations that survive. One that
// is lost takes with it all later ones on its names: the journal of a file
// system never applies the second change of a name without the first.
func (m *FS) survivingNames(names map[string]*inode, c chance, rng *rand.Rand) {
	cut := len(m.pending)
	if c == prefix {
		cut = rng.IntN(len(m.pending) + 1)
	}
	lost := map[string]bool{}
	for i, o := range m.pending {
		kept := i < cut && (c == prefix || c.keep(rng))
		if !kept || lost[o.from] || lost[o.to] {
			lost[o.from], lost[o.to] = true, true
			delete(lost, "") // "" stands for no name
			continue
		}
		o.apply(names)
	}
}

// afterCrash returns what is left of the file.
func (n *inode) afterCrash(c chance, rng *rand.Rand) *inode {
	size := n.diskSize
	if c.keep(rng) {
		size = n.size
	}
	if c == some && n.size > n.diskSize && rng.IntN(2) == 0 {
		size = n.diskSize + rng.Int64N(n.size-n.diskSize+1)
	}
	out := &inode{refs: 1, size: size, diskSize: size, modified: n.modified}
	out.disk = make([]*page, pages(size))
	copy(out.disk, n.disk)
	for _, i := range n.dirtyPages() {
		if i >= len(out.disk) {
			break
		}
		if c.keep(rng) {
			out.disk[i] = clonePage(n.page(i))
		} else if (c == some || c == prefix) && rng.IntN(4) == 0 {
			out.disk[i] = tornPage(n.diskPage(i), n.page(i), rng)
		}
	}
	if in := size % pageSize; in != 0 {
		if last := out.disk[size/pageSize]; last != nil {
			last = clonePage(last)
			clear(last[in:])
			out.disk[size/pageSize] = last
		}
	}
	out.cur = slices.Clone(out.disk)
	return out
}

func clonePage(p *page) *page {
	if p == nil {
		return nil
	}
	q := *p
	return &q
}

// tornPage returns a page of which the disk wrote only the first sectors.
func tornPage(before, after *page, rng *rand.Rand) *page {
	var p page
	if before != nil {
		p = *before
	}
	if after != nil {
		cut := sectorSize * (1 + rng.IntN(pageSize/sectorSize-1))
		copy(p[:cut], after[:cut])
	}
	return &p
}
