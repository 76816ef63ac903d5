package envoy

import (
	"github.com/meshtrail/meshtrail/internal/normalise/facts"
	"github.com/meshtrail/meshtrail/internal/normalise/field"
	"github.com/meshtrail/meshtrail/internal/record"
)

// A Resource is one of the four attributes by which Envoy's OpenTelemetry access
// logger names itself in the resource of its records.
type Resource int

// The attributes. Others have resources with one of these names, so only all four
// are Envoy's; cluster_name is that of the proxy's service, not Kubernetes'.
const (
	NoResource Resource = iota - 1
	logName
	zoneName
	clusterName
	nodeName
	numResources
)

var resources = [numResources]struct{ name, field string }{
	logName:     {"log_name", "envoy.log_name"},
	zoneName:    {"zone_name", "cloud.availability_zone"},
	clusterName: {"cluster_name", "envoy.node.cluster"},
	nodeName:    {"node_name", "envoy.node.id"},
}

// ResourceOf returns the attribute of a name, or NoResource.
func ResourceOf(name string) Resource {
	for i := range resources {
		if resources[i].name == name {
			return Resource(i)
		}
	}
	return NoResource
}

// A Proxy gathers the four attributes of one record. They are the caller's until
// Write.
type Proxy struct {
	has [numResources]*record.Field
	n   int
	own []byte
}

// Begin forgets the record before.
func (p *Proxy) Begin() {
	if p.n > 0 {
		*p = Proxy{own: p.own}
	}
}

// Take keeps an attribute for Write, and reports whether it did.
func (p *Proxy) Take(a *record.Field) bool {
	i := ResourceOf(a.Name)
	if i < 0 || a.Value.Kind != record.String || p.has[i] != nil {
		return false
	}
	p.has[i] = a
	p.n++
	return true
}

// Write writes the attributes: those of a proxy under the names that its records
// have when they come over gRPC, with the workload that it stands beside, others as
// they are.
func (p *Proxy) Write(o *facts.Out) {
	if p.n == 0 {
		return
	}
	proxy := p.n == int(numResources)
	for i, a := range p.has {
		switch {
		case a == nil:
		case !proxy:
			o.B.Set(a.Name, a.Value)
		case a.Value.Str != "":
			o.B.Str(resources[i].field, a.Value.Str)
		}
	}
	if !proxy {
		return
	}
	p.own = append(p.own[:0], p.has[nodeName].Value.Str...)
	nodeOf(o, p.own)
	if len(o.Pod) > 0 {
		return
	}
	// SERVICE.NAMESPACE where a mesh started the proxy.
	from := len(p.own)
	p.own = append(p.own, p.has[clusterName].Value.Str...)
	if name, ns := facts.CutByte(p.own[from:], '.'); len(ns) > 0 {
		o.Pod = name
		o.DeriveBytes(field.K8sNamespaceName, ns)
	}
}
