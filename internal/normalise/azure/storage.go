package azure

import (
	"bytes"

	"github.com/meshtrail/meshtrail/internal/normalise/facts"
	"github.com/meshtrail/meshtrail/internal/normalise/field"
	"github.com/meshtrail/meshtrail/internal/normalise/table"
)

// storage is the resource log of storage accounts: blobs, files, queues, tables
// (StorageRead, StorageWrite, StorageDelete).
var storage = &table.Table{
	Format: facts.Format{Name: "azure-storage", Platform: "azure", Kind: facts.Audit, Of: "resource logs of Azure's storage accounts"},
	All:    [][]string{{"time"}, {"category"}, {"operationName"}, {"callerIpAddress"}, {"statusCode"}, {"uri", "statusText", "properties.accountName"}},
	Keys: envelope(map[string]table.Rule{
		"statusCode": table.Int(field.HTTPResponseStatusCode).At(status), "statusText": table.Text(field.EventReason), "uri": table.URL(),
		"properties.userAgentHeader":  table.Text(field.UserAgentOriginal),
		"identity.requester.objectId": table.Text(field.UserID), "identity.requester.upn": table.Text(field.UserName),
	}),
	Match: func(s *table.Slots) bool { return bytes.HasPrefix(s.Text(category), []byte("Storage")) },
	Finish: func(o *facts.Out, s *table.Slots) {
		around(o, s)
		code, ok := s.Int(status)
		switch {
		case !ok:
		case code < 400:
			o.Derive(field.EventOutcome, facts.Success)
		default:
			o.Derive(field.EventOutcome, facts.Failure)
			if code == 401 || code == 403 {
				o.Denied("iam")
			}
		}
	},
}
