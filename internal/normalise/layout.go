package normalise

import (
	"github.com/meshtrail/meshtrail/internal/normalise/envoy"
	"github.com/meshtrail/meshtrail/internal/normalise/jsonscan"
	"github.com/meshtrail/meshtrail/internal/normalise/linkerd"
)

// layout is what the names of an object say: which platforms it may be of, and
// which members may be its message and its time. It is found out once for a
// shape that is remembered.
type layout struct {
	envoy, strong, hubble, linkerd int
	flags, within, other           bool

	ops []op // by member

	tables []tabled      // that know the shape, the best first
	custom []customShape // formats of the operator that it may be of

	start int // of the first member that is Envoy's start time, or -1
	stamp int // of the last member that is Linkerd's timestamp, or -1

	level int // of the member that is the severity, or -1

	// Members by the rank of their names, best first; the first one whose value
	// will do is taken.
	bodies, times []int
}

// op is what an object's name says of a member, without asking the name.
type op struct {
	envoy envoy.Key
	plain bool // the name may stand as it is, when there are no attributes
	id    int32
}

// layoutOf returns the layout of a scanned object.
func (n *Normaliser) layoutOf(o *jsonscan.Object) *layout {
	if o.Shape == nil {
		l := &n.scratch[0]
		if o == &n.inner {
			l = &n.scratch[1]
		}
		n.learn(l, o)
		return l
	}
	l, ok := o.Shape.Note.(*layout)
	if !ok {
		l = new(layout)
		n.learn(l, o)
		o.Shape.Note = l
	}
	return l
}

func (n *Normaliser) learn(l *layout, o *jsonscan.Object) {
	l.read(o)
	if c := n.lines.custom; c != nil && c.json {
		l.custom = c.shapes(o)
	}
}

func (l *layout) read(o *jsonscan.Object) {
	c, m := o.Counts, o.Marks
	*l = layout{
		envoy: int(c & 0xffff), strong: int(c >> 16 & 0xffff), hubble: int(c >> 32 & 0xffff), linkerd: int(c >> 48),
		flags: m&flags != 0, within: m&envelope != 0, other: m&otherHubble != 0,
		ops: l.ops[:0], tables: tablesOf(o), start: -1, stamp: -1, level: -1,
		bodies: ranked(o, bodyLane, l.bodies[:0]), times: ranked(o, timeLane, l.times[:0]),
	}
	for i := range o.Members {
		name := o.Members[i].Name
		mark := name.Mark
		l.ops = append(l.ops, op{envoy: envoyKey(mark), plain: mark&(meshName|reserved|stream) == 0, id: int32(name.ID)})
		if envoyKey(mark) == envoy.StartTime && l.start < 0 {
			l.start = i
		}
		if linkerdKey(mark) == linkerd.Timestamp {
			l.stamp = i
		}
		if l.level < 0 && isLevelName(name.Text) {
			l.level = i
		}
	}
}

// isLevelName reports whether a member of this name is the severity in JSON of
// any origin.
func isLevelName(name string) bool {
	switch name {
	case "level", "severity", "severity_text", "lvl", "loglevel", "log_level", "levelname", "log.level", "Level", "LogLevel":
		return true
	}
	return false
}

// ranked appends the members whose names have a rank in a lane of their marks,
// the lowest rank first. Names are unique, and so are their ranks.
func ranked(o *jsonscan.Object, lane uint, list []int) []int {
	if o.Marks>>lane&0xff == 0 {
		return list
	}
	for i := range o.Members {
		rank := o.Members[i].Name.Mark >> lane & 0xff
		if rank == 0 {
			continue
		}
		at := len(list)
		for at > 0 && o.Members[list[at-1]].Name.Mark>>lane&0xff > rank {
			at--
		}
		list = append(list, 0)
		copy(list[at+1:], list[at:])
		list[at] = i
	}
	return list
}

// body returns the index of the member that is the message, or -1.
func (l *layout) body(o *jsonscan.Object) int {
	for _, i := range l.bodies {
		if o.Members[i].Kind == jsonscan.String {
			return i
		}
	}
	return -1
}

// time returns the index of the member that is the time, and the time, or -1.
func (l *layout) time(o *jsonscan.Object) (int, int64) {
	for _, i := range l.times {
		if ns, ok := timeOf(&o.Members[i]); ok {
			return i, ns
		}
	}
	return -1, 0
}
