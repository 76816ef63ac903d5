// Package aws reads what Amazon Web Services logs of accounts and networks:
// CloudTrail (eventVersion 1.0 to 1.11: management, data, network activity and
// insight events), VPC and Transit Gateway flow logs, S3's server access log, the
// Route 53 Resolver's queries, WAF's requests and GuardDuty's findings; the JSON
// ones also within EventBridge's envelope.
//
// It knows tables and lines, no transport: what S3 and CloudWatch put around many
// records is taken off before (normalise.Split). It never panics on outside bytes
// and keeps nothing beyond a call, but for the columns of a flow log's header.
package aws

import (
	"slices"

	"github.com/meshtrail/meshtrail/internal/normalise/facts"
	"github.com/meshtrail/meshtrail/internal/normalise/table"
)

// Tables are the JSON layouts.
var Tables = slices.Concat(trailTables, networkTables)

// Formats are the layouts of text lines.
var Formats = []facts.Format{flowFormat, gatewayFormat, s3Format}

// with returns a table's keys behind the names of an envelope.
func with(at string, keys map[string]table.Rule) map[string]table.Rule {
	out := make(map[string]table.Rule, len(keys))
	for name, r := range keys {
		out[at+name] = r
	}
	return out
}

// within returns groups of names behind the name of an envelope.
func within(at string, groups ...[]string) [][]string {
	out := make([][]string, len(groups))
	for i, g := range groups {
		for _, name := range g {
			out[i] = append(out[i], at+name)
		}
	}
	return out
}
