package envoy

import "github.com/meshtrail/meshtrail/internal/normalise/facts"

// Formats are the layouts that this package reads.
var Formats = []facts.Format{
	{Name: "envoy-text", Platform: "envoy", Mesh: "envoy", Kind: facts.Access, Of: "Envoy's access log, default text"},
	{Name: "envoy-json", Platform: "envoy", Mesh: "envoy", Kind: facts.Access, Of: "Envoy's access log, JSON of its operators under names that no mesh uses"},
	{Name: "istio-text", Platform: "istio", Mesh: "istio", Kind: facts.Access, Of: "Istio's sidecar and gateway, text of today and since 2019"},
	{Name: "istio-json", Platform: "istio", Mesh: "istio", Kind: facts.Access, Of: "Istio's sidecar and gateway, JSON"},
	{Name: "consul-text", Platform: "consul", Mesh: "consul", Kind: facts.Access, Of: "Consul's Envoy, text"},
	{Name: "consul-json", Platform: "consul", Mesh: "consul", Kind: facts.Access, Of: "Consul's Envoy, JSON"},
	{Name: "kuma-text", Platform: "kuma", Mesh: "kuma", Kind: facts.Access, Of: "Kuma and Kong Mesh, default text"},
	{Name: "appmesh-text", Platform: "appmesh", Mesh: "appmesh", Kind: facts.Access, Of: "AWS App Mesh's Envoy, text"},
	{Name: "appmesh-json", Platform: "appmesh", Mesh: "appmesh", Kind: facts.Access, Of: "AWS App Mesh's Envoy, JSON"},
	{Name: "osm-text", Platform: "osm", Mesh: "osm", Kind: facts.Access, Of: "Open Service Mesh's sidecar, text"},
	{Name: "osm-json", Platform: "osm", Mesh: "osm", Kind: facts.Access, Of: "Open Service Mesh's sidecar, JSON"},
	{Name: "gloo-text", Platform: "gloo", Mesh: "gloo", Kind: facts.Access, Of: "Gloo and kgateway, text"},
	{Name: "gloo-json", Platform: "gloo", Mesh: "gloo", Kind: facts.Access, Of: "Gloo and kgateway, JSON"},
	{Name: "contour-text", Platform: "contour", Mesh: "envoy", Kind: facts.Access, Of: "Contour's Envoy, text: Envoy's own unless it is declared"},
	{Name: "contour-json", Platform: "contour", Mesh: "envoy", Kind: facts.Access, Of: "Contour's Envoy, JSON"},
	{Name: "emissary-text", Platform: "emissary", Mesh: "envoy", Kind: facts.Access, Of: "Emissary and Ambassador, text"},
	{Name: "emissary-json", Platform: "emissary", Mesh: "envoy", Kind: facts.Access, Of: "Emissary and Ambassador, JSON"},
	{Name: "envoy-gateway-text", Platform: "envoy-gateway", Mesh: "envoy", Kind: facts.Access, Of: "Envoy Gateway, text"},
	{Name: "envoy-gateway-json", Platform: "envoy-gateway", Mesh: "envoy", Kind: facts.Access, Of: "Envoy Gateway, JSON"},
	{Name: "envoy-log", Platform: "envoy", Mesh: "envoy", Kind: facts.App, Of: "what Envoy says of itself, and its filters of their decisions"},
	{Name: "kuma-json", Platform: "kuma", Mesh: "kuma", Kind: facts.Access, Of: "Kuma and Kong Mesh, JSON"},
}

// Line reads text lines.
type Line struct{ access Access }

// Text implements facts.Line.
func (l *Line) Text(line []byte, o *facts.Out) bool {
	matched, whole := l.access.Text(line)
	if !matched {
		return l.builtin(line, o) || ownLog(line, o)
	}
	declared := o.Declared
	if !Family(declared) {
		declared = ""
	}
	l.access.Write(o, declared)
	if !whole {
		o.PartialOf(l.access.misfit)
	}
	return true
}
