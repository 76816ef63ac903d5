package normalise

import (
	"slices"
	"strings"

	"github.com/meshtrail/meshtrail/internal/normalise/applog"
	"github.com/meshtrail/meshtrail/internal/normalise/envoy"
	"github.com/meshtrail/meshtrail/internal/normalise/facts"
	"github.com/meshtrail/meshtrail/internal/normalise/hubble"
	"github.com/meshtrail/meshtrail/internal/normalise/linkerd"
	"github.com/meshtrail/meshtrail/internal/normalise/table"
)

// The platforms, each in one line of one of the lists below: what reads JSON by
// tables, what reads text, and the names of all layouts. Envoy's, Linkerd's and
// Hubble's JSON, the first that there was, is told apart in platform.go.

// tables are the JSON layouts that are read by tables. Of several that know a
// shape the first is asked first.
var tables = slices.Concat[[]*table.Table](envoy.Tables, meshTables, webTables, auditTables, hostTables, applog.Tables)

// texts are the parsers of text lines. Of several that read a line the first is
// asked first; only those are asked whose lines may begin with its first byte.
var texts = slices.Concat([]text{
	{platforms: envoy.Platforms, begins: `["A`, fresh: func() facts.Line { return new(envoy.Line) }},
	{platforms: []string{"linkerd"}, begins: "0123456789[", date: never, fresh: func() facts.Line { return new(linkerd.Access) }},
}, meshTexts, auditTexts, hostTexts, webTexts)

// A text is one parser of text lines.
type text struct {
	platforms []string // that are declared for its lines: it is asked first then
	begins    string   // bytes that its lines may begin with; "" is any
	date      dated    // of its lines that begin with a digit
	fresh     func() facts.Line
}

// dated says whether lines that begin with a digit begin with a date, 2006-01-02:
// half of the parsers need not be asked for a line then.
type dated uint8

const (
	perhaps dated = iota
	always
	never
)

// The layouts that no platform wrote.
var plain = []facts.Format{
	syslogFormat,
	{Name: "json", Kind: facts.App, Of: "a JSON object of no known shape"},
	{Name: "text", Kind: facts.App, Of: "a text line of no known layout"},
	{Name: "none", Kind: facts.App, Of: "a record without a payload"},
}

var formats = func() []facts.Format {
	all := slices.Concat(envoy.Formats, linkerd.Formats, hubble.Formats, meshFormats, auditFormats, hostFormats, webFormats, applog.Formats, plain)
	for i, t := range tables {
		if i == 0 || t.Format.Name != tables[i-1].Format.Name { // one layout may have several tables
			all = append(all, t.Format)
		}
	}
	return all
}()

// Formats returns every value that parse.format can have. The slice belongs to the
// package and MUST NOT be changed.
func Formats() []facts.Format { return formats }

// Platforms returns the platforms that a sender may declare.
func Platforms() []string { return platformNames }

var platformNames = func() []string {
	names := []string{"cilium"} // whose flows Hubble shows
	for _, f := range formats {
		if f.Platform != "" {
			names = append(names, f.Platform)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}()

// Known reports whether a sender may declare the platform. "" declares none.
func Known(platform string) bool {
	if platform == "" {
		return true
	}
	_, known := slices.BinarySearch(platformNames, platform)
	return known
}

// JSON reports whether the records of a layout are JSON objects, so that names
// tell more of them than a text does.
func JSON(format string) bool { return ofJSON[format] }

var ofJSON = func() map[string]bool {
	m := map[string]bool{"json": true, "hubble-flow": true, "hubble-event": true}
	for _, f := range formats {
		if strings.HasSuffix(f.Name, "-json") {
			m[f.Name] = true
		}
	}
	for _, t := range tables {
		m[t.Format.Name] = true
	}
	return m
}()
