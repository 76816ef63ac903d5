package kubernetes_test

import (
	"testing"

	"github.com/meshtrail/meshtrail/internal/normalise/facts"
	"github.com/meshtrail/meshtrail/internal/normalise/kubernetes"
	"github.com/meshtrail/meshtrail/internal/record"
)

// FuzzOVN holds lines to this: no panic, and what matched has a format.
func FuzzOVN(f *testing.F) {
	f.Add([]byte(`2026-01-10T12:00:00.123Z|00005|acl_log(ovn_pinctrl0)|INFO|name="NP:shop:deny-all:Ingress", verdict=drop, severity=alert, direction=to-lport: tcp,nw_src=10.128.2.57,nw_dst=10.128.2.55,tp_src=35678,tp_dst=8080`))
	f.Add([]byte(`2026-01-10T12:00:02.123Z|00007|acl_log(ovn_pinctrl0)|INFO|name=shop_allow-from, verdict=allow`))
	f.Fuzz(func(t *testing.T, line []byte) {
		read(t, kubernetes.OVN{}, line)
	})
}

// FuzzAuthorized holds the reader of reasons to writing no empty value.
func FuzzAuthorized(f *testing.F) {
	f.Add("allow", `RBAC: allowed by RoleBinding "dev/shop" of Role "dev" to Group "dev"`)
	f.Add("forbid", "")
	f.Fuzz(func(t *testing.T, decision, reason string) {
		var b record.Batch
		var cols facts.Columns
		cols.Bind(&b)
		b.Begin(0, "app")
		kubernetes.Authorized(&facts.Out{B: &b, Cols: &cols}, []byte(decision), []byte(reason))
		b.End()
		r := b.Record(0)
		for _, v := range r.Fields {
			if v.Value.Str == "" {
				t.Errorf("%q %q: %s is empty", decision, reason, v.Name)
			}
		}
	})
}

func read(t *testing.T, l facts.Line, line []byte) {
	if len(line) == 0 {
		return
	}
	var b record.Batch
	var cols facts.Columns
	cols.Bind(&b)
	b.Begin(0, "app")
	o := &facts.Out{B: &b, Cols: &cols}
	if l.Text(line, o) != (o.Format != "") {
		t.Fatalf("%q: format %q", line, o.Format)
	}
	b.End()
	if r := b.Record(0); o.Format == "" && len(r.Fields) > 0 {
		t.Fatalf("%q: %v of a line that is none", line, r.Fields)
	}
}
