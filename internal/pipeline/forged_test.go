package pipeline

import (
	"strings"
	"testing"

	"github.com/meshtrail/meshtrail/internal/policy"
	"github.com/meshtrail/meshtrail/internal/record"
)

// TestForgedNames: what only intake and policy say, no sender says in their place,
// whether a rule sets it or not.
func TestForgedNames(t *testing.T) {
	for _, name := range []string{"data.owner", "data.classification", OriginalClass, OriginalTime, "parse.status", "log.source", "record.kind"} {
		k := &kept{}
		p, _ := open(t, k, policy.Config{}, Limits{})
		if _, err := p.Ingest(t.Context(), &Request{Tenant: "default", Source: "a/b", Raws: []record.Raw{
			{Payload: []byte(`{"message":"m","` + name + `":"forged"}`)},
			{Payload: []byte(`{"message":"m","` + name + `":7}`)},
			{Payload: []byte(`time=2026-03-01T11:00:00Z level=info msg="m" ` + name + `=forged`)},
			{Payload: []byte(`{"log":"{\"message\":\"m\",\"` + name + `\":\"forged\"}\n","stream":"stdout","time":"2026-03-01T11:00:00Z"}`)},
			{Payload: []byte("m"), Attrs: []record.Field{{Name: name, Value: record.StringValue("forged")}}},
		}}); err != nil {
			t.Fatal(err)
		}
		for i, r := range k.records("a/b") {
			kept := false
			for _, f := range r.Fields {
				if f.Name == name && (f.Value.Str == "forged" || f.Value.Kind == record.Int) {
					t.Errorf("record %d says %s itself: %v", i, name, f.Value)
				}
				kept = kept || strings.Contains(f.Value.Str, "forged") || f.Name == name+"_extracted"
			}
			if !kept {
				t.Errorf("record %d lost what it said of %s: %v", i, name, r.Fields)
			}
		}
	}
}
