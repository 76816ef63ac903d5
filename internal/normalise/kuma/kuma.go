// Package kuma reads what the programs of Kuma and Kong Mesh write of themselves:
// kuma-cp, kuma-dp, kuma-cni and kuma-init, which log by zap's console encoder
// (kumahq/kuma pkg/log).
//
// zap's console is many programs' logger. A line is Kuma's if its logger's name
// begins with one of Kuma's; any other is left to who reads zap in general.
//
// Access logs of its Envoys are package envoy's. It never panics on bytes from
// outside and keeps nothing beyond a call.
package kuma

import (
	"bytes"

	"github.com/meshtrail/meshtrail/internal/normalise/facts"
	"github.com/meshtrail/meshtrail/internal/normalise/field"
	"github.com/meshtrail/meshtrail/internal/normalise/jsonscan"
	"github.com/meshtrail/meshtrail/internal/normalise/table"
)

// Log is the name of the format, LogJSON that of its JSON.
const (
	Log     = "kuma-log"
	LogJSON = "kuma-log-json"
)

// Formats are the text layouts that this package reads.
var Formats = []facts.Format{
	{Name: Log, Platform: "kuma", Mesh: "kuma", Kind: facts.App, Of: "Kuma's and Kong Mesh's control plane and data plane proxies of themselves, in text"},
}

// Line reads text lines of zap's console:
//
//	TIME<TAB>LEVEL<TAB>[LOGGER<TAB>]MESSAGE[<TAB>{"k": v}]
//
// Copies of lines show tabs as spaces.
type Line struct {
	pairs jsonscan.Object
	names *jsonscan.Names
}

// Text implements facts.Line.
func (l *Line) Text(line []byte, o *facts.Out) bool {
	ns, n := facts.Stamp(line)
	if n == 0 || n+8 > len(line) || line[n] != '\t' && line[n] != ' ' || !facts.Plausible(ns) {
		return false
	}
	b := bytes.TrimLeft(line[n:], "\t ")
	if len(b) == 0 || b[0] < 'D' || b[0] > 'W' { // of a level
		return false
	}
	word, b := column(b)
	switch string(word) {
	case "DEBUG", "INFO", "WARN", "ERROR", "DPANIC", "PANIC", "FATAL":
	default:
		return false
	}
	logger, b := column(b)
	if !ours(logger) && o.Declared != "kuma" {
		return false
	}
	o.Format, o.Status = Log, facts.OK
	if !o.Fixed {
		o.Time = ns
	}
	o.Severity(word)
	if len(logger) > 0 && len(b) > 0 && bytes.IndexByte(logger, ' ') < 0 {
		o.DeriveBytes(field.LogLogger, logger)
	}
	if i := bytes.LastIndex(b, []byte("\t{")); i >= 0 {
		l.object(b[i+1:], o)
	} else if i = bytes.LastIndex(b, []byte("  {")); i >= 0 {
		l.object(b[i+2:], o)
	}
	o.MeshType("kuma")
	return true
}

// column returns what b begins with up to a tab or two spaces, and what is behind.
func column(b []byte) (first, rest []byte) {
	asked := false
	for i, c := range b {
		if c == '\t' || c == ' ' && i+1 < len(b) && (b[i+1] == ' ' || b[i+1] == '\t') {
			return b[:i], bytes.TrimLeft(b[i:], "\t ")
		}
		if c == ' ' && i > 0 && !asked { // no name holds a space
			asked = true
			if i < 64 && isName(b[:i]) {
				// Between short columns one space is left of a tab.
				return b[:i], b[i+1:]
			}
		}
	}
	return b, nil
}

// isName reports whether a word is one of a logger with parts, or a level.
func isName(b []byte) bool {
	return ours(b) || facts.IsLevel(b)
}

// loggers are the first parts of the names of Kuma's loggers, those that nobody
// else may have. Its others (defaults, plugins, injector, …) are known by a part of
// theirs, or when the platform is declared.
var loggers = map[string]bool{
	"kuma-cp": true, "kuma-dp": true, "kuma-cni": true, "kuma-init": true, "kumactl": true, "kuma-dns": true, "kong-mesh": true,
	"xds-server": true, "kds": true, "kds-mux-client": true, "kds-global": true, "kds-zone": true, "kds-delta-global": true, "kds-delta-zone": true, "dp-server": true,
	"accesslogs-server": true, "metrics-hijacker": true, "hds-server": true, "intercp": true, "intercp-server": true, "intercp-catalog": true, "sds-server": true,
	"dns-vips-allocator": true, "mads-server": true, "mesh-insight-resyncer": true, "zone-proxy": true, "envoy-admin": true, "system-certificate-selector": true,
}

func ours(name []byte) bool {
	first, rest := facts.CutByte(name, '.')
	if loggers[string(first)] {
		return true
	}
	switch string(first) {
	case "xds":
		return string(rest) == "dp-lifecycle" || bytes.HasPrefix(rest, []byte("sink")) || string(rest) == "dataplane-lifecycle"
	case "plugins":
		return bytes.HasPrefix(rest, []byte("authn.api-server")) || bytes.HasPrefix(rest, []byte("runtime.k8s"))
	case "bootstrap":
		return string(rest) == "auto-configure"
	}
	return false
}

// object writes the pairs of a line: the name of the mesh and the error under the
// names that all share, the others under their own.
func (l *Line) object(b []byte, o *facts.Out) {
	if l.names == nil {
		l.names = jsonscan.NewNames(nil)
	}
	if l.pairs.Scan(b, l.names) != nil {
		o.PartialOf("pairs")
		return
	}
	for i := range l.pairs.Members {
		m := &l.pairs.Members[i]
		switch m.Name.Text {
		case "mesh":
			if m.Kind == jsonscan.String {
				o.DeriveBytes(field.MeshID, m.Text)
				continue
			}
		case "error", "err":
			if m.Kind == jsonscan.String {
				o.DeriveBytes(field.ExceptionMessage, m.Text)
				continue
			}
		case "errorVerbose", "stacktrace":
			o.DeriveBytes(field.ExceptionStacktrace, m.Text)
			continue
		}
		table.Keep(o, m)
	}
}

// Slots of the JSON layout.
const (
	_ table.Slot = iota
	atLogger
	atLevel
)

// Tables are the JSON layouts that this package reads: zap's production encoder,
// as Kong Mesh can be told to use.
var Tables = []*table.Table{{
	Format: facts.Format{Name: LogJSON, Platform: "kuma", Mesh: "kuma", Kind: facts.App, Of: "Kuma's and Kong Mesh's control plane and data plane proxies of themselves, in JSON"},
	All:    [][]string{{"level", "L"}, {"ts", "T", "time"}, {"logger", "N"}, {"msg", "M"}},
	Keys: map[string]table.Rule{
		"level": table.Severity(), "L": table.Severity(), "ts": table.Time(), "T": table.Time(), "time": table.Time(),
		"logger": table.Text(field.LogLogger).At(atLogger), "N": table.Text(field.LogLogger).At(atLogger), "msg": table.Message(), "M": table.Message(),
		"mesh": table.Text(field.MeshID), "error": table.Text(field.ExceptionMessage), "errorVerbose": table.Text(field.ExceptionStacktrace), "stacktrace": table.Text(field.ExceptionStacktrace),
	},
	Match: func(s *table.Slots) bool {
		first, _ := facts.CutByte(s.Text(atLogger), '.')
		return bytes.HasPrefix(first, []byte("kuma-")) || bytes.HasPrefix(first, []byte("kong-mesh")) || string(first) == "kds-global" || string(first) == "kds-zone"
	},
}}
