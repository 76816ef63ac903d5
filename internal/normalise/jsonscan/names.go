package jsonscan

// A Name is an interned, flattened name. Text, Mark, Count and Note never change.
type Name struct {
	Text string
	// Mark is what the owner of the Names wants to know of the name; it is
	// computed once. Count is what the name adds to Object.Counts, and Note
	// whatever else the owner keeps with the name.
	Mark, Count uint64
	Note        any
	// ID numbers the names of a table from 0, as they come.
	ID int

	next *Name  // the name that followed it last time
	seen uint32 // the scan that met it last, and where
	at   int32
}

// maxNames bounds the table: a sender of ever new names costs allocations, not
// memory.
const maxNames = 8192

// Names interns names, so that the columns of a batch are found without
// allocating. It is not safe for concurrent use.
type Names struct {
	mark Marker
	m    map[string]*Name
	head Name
	gen  uint32

	shapes shapes
	epoch  int
}

// A Marker computes what the owner of a table keeps with a name.
type Marker func(name string) (mark, count uint64, note any)

// NewNames returns an empty table. A nil mark leaves marks, counts and notes
// empty.
func NewNames(mark Marker) *Names {
	return &Names{mark: mark, m: make(map[string]*Name)}
}

// Len returns the number of names in the table.
func (t *Names) Len() int { return len(t.m) }

// Epoch changes when the table starts anew: names and IDs of another epoch are
// of no use.
func (t *Names) Epoch() int { return t.epoch }

// generation numbers scans. At its wrap every name would look seen in some old
// scan, so the table starts anew.
func (t *Names) generation() uint32 {
	t.gen++
	if t.gen == 0 || len(t.m) > maxNames {
		t.m, t.head, t.gen, t.shapes = make(map[string]*Name), Name{}, 1, shapes{}
		t.epoch++
	}
	return t.gen
}

// find returns the name with this text. Senders write their names in one order,
// so the name that followed prev last time is tried first.
func (t *Names) find(prev *Name, text []byte) *Name {
	if n := prev.next; n != nil && n.Text == string(text) {
		return n
	}
	n, ok := t.m[string(text)]
	if !ok {
		s := string(text)
		n = &Name{Text: s, ID: len(t.m)}
		if t.mark != nil {
			n.Mark, n.Count, n.Note = t.mark(s)
		}
		t.m[s] = n
	}
	prev.next = n
	return n
}

// Intern returns the name with this text.
func (t *Names) Intern(text []byte) *Name { return t.find(&t.head, text) }
