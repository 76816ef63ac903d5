package auditd

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/meshtrail/meshtrail/internal/normalise/facts"
	"github.com/meshtrail/meshtrail/internal/record"
)

func FuzzLine(f *testing.F) {
	files, _ := filepath.Glob("../testdata/*auditd*.log")
	for _, name := range files {
		in, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		for _, line := range bytes.Split(in, []byte("\n")) {
			f.Add(line, "")
		}
	}
	f.Add([]byte("USER_LOGIN pid=1 uid=0 auid=4294967295 msg='op=login acct=2829 res=failed'"), "audit")
	f.Add([]byte("[    1.5] audit: type=1400 audit(1712.123:45): apparmor=\"DENIED\" name=2F"), "kernel")
	var l Line
	f.Fuzz(func(t *testing.T, line []byte, program string) {
		if len(line) == 0 {
			return
		}
		var b record.Batch
		var cols facts.Columns
		cols.Bind(&b)
		b.Begin(1, "app")
		o := facts.Out{B: &b, Cols: &cols, Now: 1, Program: []byte(program)}
		if l.Text(line, &o) != (o.Format != "") {
			t.Fatalf("%q: format %q", line, o.Format)
		}
	})
}

func TestSystemCallsAreNamed(t *testing.T) {
	for _, c := range [][3]string{
		{"c000003e", "59", "execve"}, {"0xc000003e", "321", "bpf"}, {"c000003e", "0", "read"}, {"c00000b7", "221", "execve"},
		{"c000003e", "439", "faccessat2"}, {"40000003", "11", ""}, {"c000003e", "9999", ""}, {"c000003e", "x", ""},
	} {
		if got := syscall([]byte(c[0]), []byte(c[1])); string(got) != c[2] {
			t.Errorf("%s %s: %q, want %q", c[0], c[1], got, c[2])
		}
	}
	if string(errnoNames[13]) != "EACCES" || string(errnoNames[115]) != "EINPROGRESS" || string(errnoNames[110]) != "ETIMEDOUT" {
		t.Errorf("errors are misnumbered: %s %s", errnoNames[13], errnoNames[115])
	}
}
