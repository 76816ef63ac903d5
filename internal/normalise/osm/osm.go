// Package osm reads what the control plane of Open Service Mesh writes of itself:
// osm-controller, osm-injector and osm-bootstrap, which log by zerolog with a
// component and the file that logs (openservicemesh/osm pkg/logger).
//
// Access logs of its Envoys are package envoy's. It never panics on bytes from
// outside and keeps nothing beyond a call.
package osm

import (
	"bytes"

	"github.com/meshtrail/meshtrail/internal/normalise/facts"
	"github.com/meshtrail/meshtrail/internal/normalise/field"
	"github.com/meshtrail/meshtrail/internal/normalise/table"
)

// JSON is the name of the format.
const JSON = "osm-log-json"

// Slots.
const (
	_ table.Slot = iota
	atFile
	atLevel
)

// Tables are the JSON layouts that this package reads.
var Tables = []*table.Table{{
	Format: facts.Format{Name: JSON, Platform: "osm", Mesh: "osm", Kind: facts.App, Of: "Open Service Mesh's control plane of itself"},
	All:    [][]string{{"level"}, {"component"}, {"time"}, {"file"}, {"message"}},
	Keys: map[string]table.Rule{
		"level": table.Severity().At(atLevel), "component": table.Text(field.LogLogger), "time": table.Time(), "file": table.Take(atFile), "message": table.Message(),
		"error": table.Text(field.ExceptionMessage), "error_code": table.Text(field.EventCode),
	},
	Match: func(s *table.Slots) bool {
		return bytes.Contains(s.Text(atFile), []byte(".go:")) && facts.IsLevel(s.Text(atLevel))
	},
	Finish: func(o *facts.Out, s *table.Slots) {
		if v := s.Text(atFile); !o.Place(v) {
			s.Leave(o, atFile)
		}
	},
}}
