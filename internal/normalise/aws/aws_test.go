package aws_test

import (
	"testing"

	"github.com/meshtrail/meshtrail/internal/normalise/aws"
	"github.com/meshtrail/meshtrail/internal/normalise/facts"
	"github.com/meshtrail/meshtrail/internal/record"
)

func read(t *testing.T, l facts.Line, line []byte) (format string, r record.Record) {
	var b record.Batch
	var cols facts.Columns
	cols.Bind(&b)
	b.Begin(0, "app")
	o := &facts.Out{B: &b, Cols: &cols}
	if len(line) > 0 && l.Text(line, o) != (o.Format != "") {
		t.Fatalf("%q: format %q", line, o.Format)
	}
	b.End()
	if r = b.Record(0); o.Format == "" && len(r.Fields) > 0 {
		t.Fatalf("%q: %v of a line that is none", line, r.Fields)
	}
	return o.Format, r
}

// TestAHeaderIsHeldAgainstTheLines reads by a header only lines that fit it.
func TestAHeaderIsHeldAgainstTheLines(t *testing.T) {
	var f aws.Flow
	read(t, &f, []byte("srcaddr dstaddr action start"))
	for line, want := range map[string]string{
		"10.0.0.1 10.0.0.2 ACCEPT 1700000000": "aws-vpc-flow",
		"10.0.0.1 10.0.0.2 OPENED 1700000000": "",
		"GET /index.html ACCEPT 1700000000":   "",
		"the quick brown fox":                 "",
		"10.0.0.1 10.0.0.2 ACCEPT soon":       "",
		"10.0.0.1 10.0.0.2 ACCEPT":            "",
	} {
		if got, _ := read(t, &f, []byte(line)); got != want {
			t.Errorf("%q is read as %q", line, got)
		}
	}
	read(t, &f, []byte("version account-id srcaddr dstaddr action tcp-flags flow-direction start end log-status region az-id bytes packets srcport dstport protocol pkt-src-aws-service"))
	_, r := read(t, &f, []byte("5 123456789012 10.0.1.5 52.95.4.21 REJECT 3 egress 1700000000 1700000030 OK eu-west-1 euw1-az2 4242 21 40000 443 6 -"))
	for name, want := range map[string]string{
		"source.address": "10.0.1.5", "destination.port": "443", "network.transport": "tcp", "mesh.flow.tcp_flags": "FIN,SYN", "mesh.direction": "outbound", "network.bytes": "4242",
		"network.packets": "21", "cloud.region": "eu-west-1", "cloud.availability_zone": "euw1-az2", "mesh.policy.decision": "deny", "mesh.duration_ns": "30000000000",
	} {
		if v, _ := r.Get(name); v.Text() != want {
			t.Errorf("%s is %q, want %q", name, v.Text(), want)
		}
	}
	read(t, &f, []byte("dstaddr srcaddr action start")) // another file
	if _, r := read(t, &f, []byte("10.0.0.1 10.0.0.2 REJECT 1700000000")); len(r.Fields) == 0 {
		t.Error("not read by the new header")
	} else if v, _ := r.Get("destination.address"); v.Str != "10.0.0.1" {
		t.Errorf("read by the old header: %v", r.Fields)
	}
}

// FuzzLines holds lines to this: no panic, what matched has a format, and of a
// line that did not match nothing is written.
func FuzzLines(f *testing.F) {
	for _, s := range []string{
		"2 123456789012 eni-0a1b2c3d4e5f60718 10.0.1.5 10.0.2.9 49152 443 6 12 9000 1700000000 1700000060 ACCEPT OK",
		"version account-id srcaddr dstaddr action tcp-flags start",
		`79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be logs-bucket [06/Feb/2026:00:01:00 +0000] 198.51.100.9 - 7B4A0FABBEXAMPLE REST.GET.VERSIONING - "GET /logs-bucket?versioning HTTP/1.1" 403 AccessDenied 243 - 7 - "-" "curl/8.5.0" -`,
	} {
		f.Add([]byte(s), []byte(s))
	}
	f.Fuzz(func(t *testing.T, first, second []byte) {
		var flow aws.Flow
		for _, line := range [][]byte{first, second} {
			read(t, &flow, line)
			read(t, aws.S3{}, line)
		}
	})
}
