package normalise

import (
	"slices"

	"github.com/meshtrail/meshtrail/internal/normalise/cilium"
	"github.com/meshtrail/meshtrail/internal/normalise/consul"
	"github.com/meshtrail/meshtrail/internal/normalise/facts"
	"github.com/meshtrail/meshtrail/internal/normalise/hubble"
	"github.com/meshtrail/meshtrail/internal/normalise/istio"
	"github.com/meshtrail/meshtrail/internal/normalise/kuma"
	"github.com/meshtrail/meshtrail/internal/normalise/linkerd"
	"github.com/meshtrail/meshtrail/internal/normalise/osm"
	"github.com/meshtrail/meshtrail/internal/normalise/table"
	"github.com/meshtrail/meshtrail/internal/normalise/tetragon"
)

// What the programs of meshes write beside access logs of Envoy. A platform is one
// line of each list.
var (
	meshTables = slices.Concat[[]*table.Table](istio.Tables, linkerd.Tables, consul.Tables, kuma.Tables, cilium.Tables, tetragon.Tables, osm.Tables)

	meshTexts = []text{
		{platforms: []string{"istio"}, begins: "2diwe", date: always, fresh: func() facts.Line { return new(istio.Line) }},
		{platforms: []string{"linkerd"}, begins: "[2TDIWE", date: always, fresh: func() facts.Line { return new(linkerd.ProxyLog) }},
		{platforms: []string{"consul", "hclog"}, begins: "2 [", date: always, fresh: func() facts.Line { return new(consul.Line) }},
		{platforms: []string{"kuma"}, begins: "2", date: always, fresh: func() facts.Line { return new(kuma.Line) }},
		{platforms: []string{"cilium", "hubble"}, begins: "JFMASOND2[", fresh: func() facts.Line { return new(hubble.Text) }},
		{platforms: []string{"cilium"}, begins: "xP-<", fresh: func() facts.Line { return new(cilium.MonitorLine) }},
		{platforms: []string{"cilium"}, begins: "lt", fresh: func() facts.Line { return new(cilium.LogLine) }},
	}

	meshFormats = slices.Concat(istio.Formats, consul.Formats, kuma.Formats, cilium.Formats)
)
