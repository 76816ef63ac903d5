package normalise

import (
	"slices"

	"github.com/meshtrail/meshtrail/internal/normalise/auditd"
	"github.com/meshtrail/meshtrail/internal/normalise/cef"
	"github.com/meshtrail/meshtrail/internal/normalise/facts"
	"github.com/meshtrail/meshtrail/internal/normalise/journal"
	"github.com/meshtrail/meshtrail/internal/normalise/login"
	"github.com/meshtrail/meshtrail/internal/normalise/netfilter"
	"github.com/meshtrail/meshtrail/internal/normalise/table"
)

// What machines and what runs on them say of acts, logins and packets. A platform
// is one line of each list.
var (
	hostTables = slices.Concat[[]*table.Table](auditd.Tables, journal.Tables)

	hostTexts = []text{
		{platforms: []string{"auditd"}, begins: "tna[ABCDEFGHIKLMNOPRSTUV", fresh: func() facts.Line { return new(auditd.Line) }},
		{platforms: login.Platforms, fresh: func() facts.Line { return new(login.Line) }},
		{platforms: []string{"netfilter"}, fresh: func() facts.Line { return new(netfilter.Line) }},
		{platforms: []string{"cef", "leef"}, begins: "CL0123456789", fresh: func() facts.Line { return new(cef.Line) }},
		{platforms: []string{"journald"}, begins: "_MPSC", fresh: func() facts.Line { return new(journal.Line) }},
	}

	hostFormats = slices.Concat(auditd.Formats, login.Formats, netfilter.Formats, cef.Formats, journal.Formats)
)
