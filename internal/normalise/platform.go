package normalise

import (
	"github.com/meshtrail/meshtrail/internal/normalise/envoy"
	"github.com/meshtrail/meshtrail/internal/normalise/facts"
	"github.com/meshtrail/meshtrail/internal/normalise/field"
	"github.com/meshtrail/meshtrail/internal/normalise/hubble"
	"github.com/meshtrail/meshtrail/internal/normalise/jsonscan"
	"github.com/meshtrail/meshtrail/internal/normalise/linkerd"
)

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

// platformObject has the platform that o's shape or the sender names read it,
// and reports whether one did.
func (n *Normaliser) platformObject(o *jsonscan.Object, l *layout, declared string) bool {
	isEnvoy := envoy.Family(declared)
	isHubble := declared == "cilium" || declared == "hubble"
	if len(l.custom) > 0 && n.customObject(o, l) {
		return true
	}
	if len(l.tables) > 0 && n.tabled(o, l) {
		return true
	}
	switch {
	case isEnvoy && envoy.Match(l.strong, l.envoy, 0, l.flags, true):
		n.envoyObject(o, l, declared)
	case declared == "linkerd" && l.linkerd > 0, l.linkerd >= 2:
		n.linkerdObject(o, l)
	case l.hubble >= 2 && n.hubbleObject(o, l.within, isHubble):
	case l.other:
		n.hubbleOther(o, l)
	case envoy.Match(l.strong, l.envoy, len(o.Members)+len(o.Nulls), l.flags, false):
		n.envoyObject(o, l, "")
	default:
		return false
	}
	return true
}

// spare returns the index of the member that gives the time, and the time, when
// the platform's own key gave none, or -1.
func (n *Normaliser) spare(o *jsonscan.Object, l *layout, found bool) (int, int64) {
	if found || n.out.Fixed {
		return -1, 0
	}
	return l.time(o)
}

func (n *Normaliser) envoyObject(o *jsonscan.Object, l *layout, declared string) {
	a := &n.envoy
	a.Reset()
	found := false
	if l.start >= 0 {
		_, found = timeOf(&o.Members[l.start])
	}
	when, ns := n.spare(o, l, found)
	for i, op := range l.ops {
		m := &o.Members[i]
		switch {
		case i == when:
			n.out.Time = ns
		case op.envoy != envoy.None && a.Set(op.envoy, m):
		case op.plain:
			n.plain(op.id, m)
		default:
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

func (n *Normaliser) linkerdObject(o *jsonscan.Object, l *layout) {
	a := &n.linkerd
	a.Reset()
	found := false
	if l.stamp >= 0 {
		_, found = timeOf(&o.Members[l.stamp])
	}
	when, ns := n.spare(o, l, found)
	for i := range o.Members {
		m := &o.Members[i]
		if i == when {
			n.out.Time = ns
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
func (n *Normaliser) hubbleOther(o *jsonscan.Object, l *layout) {
	kind := ""
	when, ns := n.spare(o, l, false)
	for i := range o.Members {
		m := &o.Members[i]
		if k := hubble.Other(m.Name.Text); k != "" {
			kind = k
		}
		switch {
		case i == when:
			n.out.Time = ns
		case m.Name.Text == "node_name" && m.Kind == jsonscan.String:
			n.out.Str(field.K8sNodeName, m.Text)
		default:
			n.member(m)
		}
	}
	n.out.Derive(field.EventName, kind)
	n.out.MeshType("cilium")
	n.out.Format, n.out.Status = "hubble-event", facts.OK
}
