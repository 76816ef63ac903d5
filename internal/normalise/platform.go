package normalise

import (
	"slices"

	"github.com/meshtrail/meshtrail/internal/normalise/envoy"
	"github.com/meshtrail/meshtrail/internal/normalise/facts"
	"github.com/meshtrail/meshtrail/internal/normalise/hubble"
	"github.com/meshtrail/meshtrail/internal/normalise/jsonscan"
	"github.com/meshtrail/meshtrail/internal/normalise/linkerd"
)

// Platforms returns the platforms that a sender may declare.
func Platforms() []string {
	return []string{"cilium", "consul", "envoy", "hubble", "istio", "kuma", "linkerd"}
}

// Known reports whether a sender may declare the platform. "" declares none.
func Known(platform string) bool { return platform == "" || slices.Contains(Platforms(), platform) }

// platforms is the scratch of each platform's parser.
type platforms struct {
	envoy   envoy.Access
	linkerd linkerd.Access
	hubble  hubble.Flow
}

func envoyKey(mark uint64) envoy.Key     { return envoy.Key(mark) }
func linkerdKey(mark uint64) linkerd.Key { return linkerd.Key(mark >> 8) }
func hubbleKey(mark uint64) hubble.Key   { return hubble.Key(mark >> 16) }

// A name's count adds up to a shape's, in four lanes of 16 bits. An object has
// fewer names than a lane holds.
//
//	| 0-15 Envoy keys | 16-31 strong ones | 32-47 Hubble keys | 48-63 Linkerd's own keys |
func platformMark(name string) (mark, count uint64) {
	e := envoy.KeyOf(name)
	l := linkerd.KeyOf(name)
	h, within := hubble.KeyOf(name)
	mark = uint64(e) | uint64(l)<<8 | uint64(h)<<16
	if e != envoy.None {
		count++
	}
	if e.Strong() {
		count += 1 << 16
	}
	if e == envoy.Flags {
		mark |= flags
	}
	if envoy.Foreign(name) {
		mark |= foreign
	}
	if h != hubble.None {
		count += 1 << 32
	}
	switch l {
	case linkerd.ClientAddr, linkerd.Total, linkerd.Processing:
		count += 1 << 48
	}
	if within {
		mark |= envelope
	}
	if hubble.Other(name) != "" {
		mark |= otherHubble
	}
	return mark, count
}

// shape is what the names of an object say.
type shape struct {
	envoy, strong, hubble, linkerd int
	flags, within, other           bool
}

func shapeOf(o *jsonscan.Object) shape {
	c, m := o.Counts, o.Marks
	return shape{int(c & 0xffff), int(c >> 16 & 0xffff), int(c >> 32 & 0xffff), int(c >> 48), m&flags != 0, m&envelope != 0, m&otherHubble != 0}
}

// platformObject has the platform that o's shape or the sender names read it,
// and reports whether one did.
func (n *Normaliser) platformObject(o *jsonscan.Object, declared string) bool {
	s := shapeOf(o)
	isEnvoy := declared == "envoy" || declared == "istio" || declared == "consul" || declared == "kuma"
	isHubble := declared == "cilium" || declared == "hubble"
	switch {
	case isEnvoy && envoy.Match(s.strong, s.envoy, s.flags, true):
		n.envoyObject(o, declared)
	case declared == "linkerd" && s.linkerd > 0, s.linkerd >= 2:
		n.linkerdObject(o)
	case s.hubble >= 2 && n.hubbleObject(o, s.within, isHubble):
	case s.other:
		n.hubbleOther(o)
	case envoy.Match(s.strong, s.envoy, s.flags, false):
		n.envoyObject(o, "")
	default:
		return false
	}
	return true
}

// spare returns the index of the member that gives the time when the platform's
// own key gave none, or -1.
func (n *Normaliser) spare(o *jsonscan.Object, found bool) int {
	if found || n.out.Fixed {
		return -1
	}
	return best(o, timeLane, hasTime)
}

func (n *Normaliser) envoyObject(o *jsonscan.Object, declared string) {
	a := &n.envoy
	a.Reset()
	found := false
	for i := range o.Members {
		if m := &o.Members[i]; envoyKey(m.Name.Mark) == envoy.StartTime {
			_, found = timeOf(m)
			break
		}
	}
	when := n.spare(o, found)
	for i := range o.Members {
		m := &o.Members[i]
		if i == when {
			n.out.Time, _ = timeOf(m)
			continue
		}
		if k := envoyKey(m.Name.Mark); k == envoy.None || !a.Set(k, m) {
			n.member(m)
		}
	}
	for _, name := range o.Nulls {
		if k := envoyKey(name.Mark); k != envoy.None {
			a.Null(k)
		}
	}
	if o.Marks&foreign != 0 {
		a.NotIstio()
	}
	a.Write(&n.out, declared)
}

func (n *Normaliser) linkerdObject(o *jsonscan.Object) {
	a := &n.linkerd
	a.Reset()
	var at *jsonscan.Member
	for i := range o.Members {
		if m := &o.Members[i]; linkerdKey(m.Name.Mark) == linkerd.Timestamp {
			at = m
		}
	}
	found := false
	if at != nil {
		_, found = timeOf(at)
	}
	when := n.spare(o, found)
	for i := range o.Members {
		m := &o.Members[i]
		if i == when {
			n.out.Time, _ = timeOf(m)
			continue
		}
		if k := linkerdKey(m.Name.Mark); k == linkerd.None || !a.Set(k, m) {
			n.member(m)
		}
	}
	a.Write(&n.out, linkerd.JSON)
}

// hubbleObject writes a flow, or nothing when the slots are no flow's.
func (n *Normaliser) hubbleObject(o *jsonscan.Object, within, declared bool) bool {
	f := &n.hubble
	f.Reset()
	f.SetAll(o, func(m *jsonscan.Member) hubble.Key { return hubbleKey(m.Name.Mark) })
	if !f.Match(within, declared) {
		return false
	}
	for i := range o.Members {
		m := &o.Members[i]
		if f.Holds(hubbleKey(m.Name.Mark), m) {
			continue
		}
		if name := hubble.OwnName(m.Name.Text); name != m.Name.Text {
			Put(n.out.B, n.out.Own(name), m)
			continue
		}
		n.member(m)
	}
	f.Write(&n.out)
	return true
}

// hubbleOther writes a record of the exporter that is no flow: lost, agent and
// debug events.
func (n *Normaliser) hubbleOther(o *jsonscan.Object) {
	kind := ""
	when := n.spare(o, false)
	for i := range o.Members {
		m := &o.Members[i]
		if k := hubble.Other(m.Name.Text); k != "" {
			kind = k
		}
		switch {
		case i == when:
			n.out.Time, _ = timeOf(m)
		case m.Name.Text == "node_name" && m.Kind == jsonscan.String:
			n.out.Str("k8s.node.name", m.Text)
		default:
			n.member(m)
		}
	}
	n.out.Derive("event.name", kind)
	n.out.MeshType("cilium")
	n.out.Format, n.out.Status = "hubble-event", facts.OK
}

// platformText has the platform whose layout a line matches read it, and reports
// whether one did. The caller keeps the line as the body.
func (n *Normaliser) platformText(line []byte, declared string) bool {
	if len(line) < 16 {
		return false
	}
	if matched, whole := n.envoy.Text(line); matched {
		n.envoy.Write(&n.out, declared)
		if !whole {
			n.out.Partial()
		}
		return true
	}
	if c := line[0]; c >= '0' && c <= '9' || c == '[' {
		if matched, whole := n.linkerd.Text(line); matched {
			n.linkerd.Write(&n.out, linkerd.Apache)
			if !whole {
				n.out.Partial()
			}
			return true
		}
	}
	return false
}
