package access

import (
	"slices"
	"testing"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/identity"
)

func TestForEveryRole(t *testing.T) {
	p, err := For(identity.Identity{Name: "admin", Tenant: "default", Role: identity.Administrator})
	if err != nil {
		t.Fatal(err)
	}
	for _, need := range all {
		if got := p.May(need); got != (need != Public && need != Reveal) {
			t.Errorf("administrator may %s: %v", need, got)
		}
	}
	may := map[string][]Permission{
		identity.SenderRole:  {Identified, LogsWrite},
		identity.ReaderRole:  {Identified, LogsRead},
		identity.AuditorRole: {Identified, LogsRead, AuditRead, Evidence},
		identity.MonitorRole: {Metrics},

		identity.CustodianRole: {Identified, LogsRead, Reveal},
	}
	for _, role := range identity.Roles {
		p, err := For(identity.Identity{Name: "x", Tenant: "default", Role: role})
		if err != nil {
			t.Errorf("role %s: %v", role, err)
			continue
		}
		for _, need := range all {
			if got := p.May(need); role != identity.Administrator && got != slices.Contains(may[role], need) {
				t.Errorf("%s may %s: %v", role, need, got)
			}
		}
	}
	for _, id := range []identity.Identity{
		{},
		{Name: "x", Tenant: "default"},
		{Name: "x", Tenant: "default", Role: "root"},
		{Name: "x", Role: identity.Administrator},
		{Tenant: "default", Role: identity.Administrator},
	} {
		if p, err := For(id); !fault.Is(err, fault.Denied) || p != nil {
			t.Errorf("%+v became %+v, %v", id, p, err)
		}
	}
}

func TestKnown(t *testing.T) {
	for _, p := range []Permission{"", "Admin", "logs", "logs.read "} {
		if Known(p) {
			t.Errorf("%q is known", p)
		}
	}
}

func TestScopes(t *testing.T) {
	if err := (Scope{}).Check(); !fault.Is(err, fault.Denied) {
		t.Errorf("the zero scope: %v", err)
	}
	if _, err := ReadScope(nil); !fault.Is(err, fault.Denied) {
		t.Errorf("scope of nobody: %v", err)
	}
	if _, err := ReadScope(&Principal{Name: "w", Tenant: "a", Grants: []Permission{LogsWrite, Admin}}); !fault.Is(err, fault.Denied) {
		t.Errorf("scope of a writer: %v", err)
	}
	s, err := ReadScope(&Principal{Name: "r", Tenant: "a", Grants: []Permission{LogsRead}})
	if err != nil || s.Check() != nil || s.Tenant() != "a" || s.MayReadAudit() || s.Principal() != "r" {
		t.Errorf("%+v, %v", s, err)
	}
	s, err = ReadScope(&Principal{Name: "r", Tenant: "a", Grants: []Permission{LogsRead, AuditRead}})
	if err != nil || !s.MayReadAudit() {
		t.Errorf("%+v, %v", s, err)
	}
	if _, err := ReadScope(&Principal{Name: "r", Grants: []Permission{LogsRead}}); err == nil {
		if s, _ := ReadScope(&Principal{Name: "r", Grants: []Permission{LogsRead}}); s.Check() == nil {
			t.Error("a principal without a tenant may read")
		}
	}
}
