package normalise

import (
	"slices"

	"github.com/meshtrail/meshtrail/internal/normalise/aws"
	"github.com/meshtrail/meshtrail/internal/normalise/azure"
	"github.com/meshtrail/meshtrail/internal/normalise/facts"
	"github.com/meshtrail/meshtrail/internal/normalise/gcp"
	"github.com/meshtrail/meshtrail/internal/normalise/kubernetes"
	"github.com/meshtrail/meshtrail/internal/normalise/saas"
	"github.com/meshtrail/meshtrail/internal/normalise/table"
	"github.com/meshtrail/meshtrail/internal/normalise/vault"
)

// What clusters and clouds log of who did what, and of their networks. A platform
// is one line of each list.
var (
	auditTables = slices.Concat[[]*table.Table](kubernetes.Tables, aws.Tables, gcp.Tables, azure.Tables, vault.Tables, saas.Tables)

	auditTexts = []text{
		{platforms: []string{"aws"}, begins: "0123456789-abcdefghijklmnopqrstuvwxyzARONS", date: never, fresh: func() facts.Line { return new(aws.Flow) }},
		{platforms: []string{"openshift"}, begins: "2", date: always, fresh: func() facts.Line { return new(kubernetes.OVN) }},
		{platforms: []string{"aws"}, begins: "0123456789abcdef", date: never, fresh: func() facts.Line { return new(aws.S3) }},
	}

	auditFormats = slices.Concat(aws.Formats, kubernetes.Formats)
)
