package envoy

import "github.com/meshtrail/meshtrail/internal/normalise/facts"

// Formats are the layouts that this package reads.
var Formats = []facts.Format{
	{Name: "envoy-text", Platform: "envoy", Mesh: "envoy", Kind: facts.Access, Of: "Envoy's access log, default text"},
	{Name: "envoy-json", Platform: "envoy", Mesh: "envoy", Kind: facts.Access, Of: "Envoy's access log, JSON of its operators (Envoy Gateway, kgateway, Gloo, Contour …)"},
	{Name: "istio-text", Platform: "istio", Mesh: "istio", Kind: facts.Access, Of: "Istio's sidecar and gateway, text of today and since 2019"},
	{Name: "istio-json", Platform: "istio", Mesh: "istio", Kind: facts.Access, Of: "Istio's sidecar and gateway, JSON"},
	{Name: "consul-text", Platform: "consul", Mesh: "consul", Kind: facts.Access, Of: "Consul's Envoy, text"},
	{Name: "consul-json", Platform: "consul", Mesh: "consul", Kind: facts.Access, Of: "Consul's Envoy, JSON"},
	{Name: "kuma-text", Platform: "kuma", Mesh: "kuma", Kind: facts.Access, Of: "Kuma and Kong Mesh, default text"},
	{Name: "kuma-json", Platform: "kuma", Mesh: "kuma", Kind: facts.Access, Of: "Kuma and Kong Mesh, JSON"},
}

// Line reads text lines.
type Line struct{ access Access }

// Text implements facts.Line.
func (l *Line) Text(line []byte, o *facts.Out) bool {
	matched, whole := l.access.Text(line)
	if !matched {
		return false
	}
	declared := o.Declared
	switch declared {
	case "envoy", "istio", "consul", "kuma":
	default:
		declared = ""
	}
	l.access.Write(o, declared)
	if !whole {
		o.Partial()
	}
	return true
}
