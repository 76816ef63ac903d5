package access

import (
	"slices"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/identity"
)

// all lists every permission; a route that needs anything else does not start.
var all = []Permission{Public, Identified, LogsWrite, LogsRead, AuditRead, Evidence, Metrics, Admin, Reveal}

// Known reports whether p is one of the permissions of this package.
func Known(p Permission) bool {
	for _, k := range all {
		if k == p {
			return true
		}
	}
	return false
}

// roles is the whole table of who may what.
var roles = map[string][]Permission{
	identity.Administrator: {Identified, LogsWrite, LogsRead, AuditRead, Evidence, Metrics, Admin},
	identity.SenderRole:    {Identified, LogsWrite},
	identity.ReaderRole:    {Identified, LogsRead},
	identity.AuditorRole:   {Identified, LogsRead, AuditRead, Evidence},
	identity.MonitorRole:   {Metrics},
	identity.CustodianRole: {Identified, LogsRead, Reveal},
}

// RolesWith returns the roles that grant p, in the order of identity.Roles.
func RolesWith(p Permission) []string {
	var out []string
	for _, role := range identity.Roles {
		if slices.Contains(roles[role], p) {
			out = append(out, role)
		}
	}
	return out
}

// For returns the principal that an identity acts as. An unknown role is
// fault.Denied: it grants nothing, not even what everybody may do.
func For(id identity.Identity) (*Principal, error) {
	grants, ok := roles[id.Role]
	if !ok || id.Name == "" || id.Tenant == "" {
		return nil, fault.Errorf(fault.Denied, "identity %q has no usable role", id.Name)
	}
	return &Principal{Name: id.Name, Tenant: id.Tenant, Grants: grants, Sends: id.Sends}, nil
}
