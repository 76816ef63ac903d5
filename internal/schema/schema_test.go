package schema

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite docs/schema.md")

func TestResolve(t *testing.T) {
	f := func(asked, column string, mul float64, unit Unit) {
		t.Helper()
		r := Resolve(asked)
		got, _, ok := r.Match(column)
		if !ok || got != mul || r.Unit != unit {
			t.Errorf("Resolve(%q).Match(%q) = %v, %v with unit %q; want %v with unit %q", asked, column, got, ok, r.Unit, mul, unit)
		}
	}
	f("http.response.status_code", "http.response.status_code", 1, "")
	f("http_response_status_code", "http.response.status_code", 1, "")
	f("response_code", "http.response.status_code", 1, "")
	f("status", "http.response.status_code", 1, "")
	f("code", "http.response.status_code", 1, "")
	f("duration", "mesh.duration_ns", 1e6, Milliseconds)
	f("total_ns", "mesh.duration_ns", 1, Nanoseconds)
	f("mesh_duration_ns", "mesh.duration_ns", 1, Nanoseconds)
	f("mesh.duration_ns", "mesh.duration_ns", 1, Nanoseconds)
	f("duration", "duration", 1, Milliseconds)
	f("upstream_service_time", "mesh.upstream_duration_ns", 1e6, Milliseconds)
	f("bytes_sent", "http.response.body.size", 1, ByteCount)
	f("bytes_sent", "mesh.bytes_sent", 1, ByteCount)
	f("path", "url.path", 1, "")
	f("uri", "url.path", 1, "")
	f("request_id", "http.request.header.x-request-id", 1, "")
	f("mesh", "mesh.type", 1, "")
	f("mesh.type", "mesh", 1, "")
	f("mesh_type", "mesh", 1, "")
	f("namespace", "k8s.namespace.name", 1, "")
	f("namespace", "kubernetes.namespace_name", 1, "")
	f("source", "log.source", 1, "")
	f("level", "severity_text", 1, "")
	f("severity_text", "level", 1, "")
	f("client_addr", "client.address", 1, "")
	f("src_workload", "mesh.source.pod", 1, "")
	f("log.syslog.priority", "syslog.priority", 1, "")
	f("syslog_appname", "syslog.appname", 1, "")
	f("_SYSTEMD_UNIT", "systemd.unit", 1, "")
	f("systemd.unit", "_SYSTEMD_UNIT", 1, "")
	f("process.executable", "process.executable.path", 1, "")
	f("code.line.number", "log.origin.file.line", 1, "")
	f("verb", "k8s.audit.verb", 1, "")
	f("kubernetes.audit.objectRef.resource", "k8s.audit.resource", 1, "")
	f("sourcetype", "com.splunk.sourcetype", 1, "")
	f("counter_increase", "counter.increase", 1, "")
	f("never heard of", "never heard of", 1, "")
	f("a_b", "a.b", 1, "")

	r := Resolve("response_code")
	if _, _, ok := r.Match("url.path"); ok {
		t.Error("response_code means url.path")
	}
	_, exact, _ := r.Match("response_code")
	_, canonical, _ := r.Match("http.response.status_code")
	if exact >= canonical {
		t.Errorf("the column of the asked name has rank %d, the canonical one %d", exact, canonical)
	}
}

func TestEveryStreamLabelIsKnown(t *testing.T) {
	for _, l := range StreamLabels() {
		if _, ok := Lookup(l.Field); !ok {
			t.Errorf("label %s: no field %s", l.Label, l.Field)
		}
		r := Resolve(l.Label)
		for _, column := range []string{l.Field, l.Label} {
			if _, _, ok := r.Match(column); !ok {
				t.Errorf("label %s does not mean column %s", l.Label, column)
			}
		}
	}
}

func TestDictionaryIsSound(t *testing.T) {
	seen := map[string]bool{}
	for i, f := range Fields() {
		if seen[f.Name] {
			t.Errorf("%s is there twice", f.Name)
		}
		seen[f.Name] = true
		if f.Meaning == "" || f.Type == "" {
			t.Errorf("%s has no meaning or no type", f.Name)
		}
		if strings.HasSuffix(f.Name, "_ns") != (f.Unit == Nanoseconds) {
			t.Errorf("%s: unit %q", f.Name, f.Unit)
		}
		if Order(f.Name) != i && !strings.HasPrefix(f.Name, "parse.") {
			t.Errorf("%s: order %d, place %d", f.Name, Order(f.Name), i)
		}
		for _, a := range f.Aliases {
			if _, canonical := Lookup(a.Name); canonical {
				t.Errorf("%s: alias %s is a canonical name", f.Name, a.Name)
			}
		}
	}
	if Order("x") <= len(Fields()) || Order("parse.other") <= Order("x") {
		t.Error("unknown fields come before known ones")
	}
}

func TestResolveAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates on its own")
	}
	if n := testing.AllocsPerRun(100, func() {
		r := Resolve("response_code")
		r.Match("http.response.status_code")
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestDocs holds docs/schema.md against the dictionary; -update rewrites it.
func TestDocs(t *testing.T) {
	path := filepath.Join("..", "..", "docs", "schema.md")
	want := render()
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		updateVersion(t)
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Error("docs/schema.md is not what the dictionary says: run go test ./internal/schema -update")
	}
}

func render() string {
	var b strings.Builder
	fmt.Fprintf(&b, `# Fields

This page is rendered from the dictionary in internal/schema (go test ./internal/schema -update), version %d.

A record is an event time and fields. Where intake knows the platform, fields
carry the names below: OpenTelemetry semantic conventions and, for what those
have no name for, mesh.*. Every other field keeps the name its sender gave it.

A query may use any name of a field: the canonical one, the form LogQL can write
(http_response_status_code), or an alias. A bare number beside an alias is in the
alias's unit: duration > 250 and mesh_duration_ns > 250ms are one question. A
stored field of exactly the asked name always counts first. Durations are stored
in nanoseconds, sizes in bytes; what is unknown is absent.

Under "elsewhere" stand the names of other vocabularies: OTel where OpenTelemetry
has another name or place for it, ECS for the Elastic Common Schema, OCSF for the
path of an attribute; = is the same name. Which class of OCSF the records of a
layout are stands in [platforms.md](platforms.md). The same is served at
/api/v1/schema. Personal fields may identify a person, secret ones are removed.

A record that has a column of the last list, because no parser knew its shape,
answers for the field as well.

## Stream labels

| label | field |
|---|---|
`, Version)
	for _, l := range StreamLabels() {
		fmt.Fprintf(&b, "| %s | %s |\n", l.Label, l.Field)
	}
	b.WriteString("\n## Dictionary\n\n| field | type | meaning | sensitivity | elsewhere | aliases | also read from |\n|---|---|---|---|---|---|---|\n")
	for _, f := range Fields() {
		typ := string(f.Type)
		if f.Unit != NoUnit {
			typ += ", " + string(f.Unit)
		}
		text := f.Meaning
		if f.Values != "" {
			text += " One of: " + f.Values + "."
		}
		var aliases []string
		for _, a := range f.Aliases {
			s := "`" + a.Name + "` (" + a.From
			if a.Unit != NoUnit && a.Unit != f.Unit {
				s += ", in " + string(a.Unit)
			}
			aliases = append(aliases, s+")")
		}
		var also []string
		for _, c := range f.Also {
			also = append(also, "`"+c+"`")
		}
		var elsewhere []string
		for _, m := range [...]struct{ in, name string }{{"OTel", f.OTel}, {"ECS", f.ECS}, {"OCSF", f.OCSF}} {
			switch m.name {
			case "":
			case f.Name:
				elsewhere = append(elsewhere, m.in+" =")
			default:
				elsewhere = append(elsewhere, m.in+" `"+m.name+"`")
			}
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s | %s | %s |\n", f.Name, typ, text, f.Sensitivity, strings.Join(elsewhere, ", "), strings.Join(aliases, ", "), strings.Join(also, ", "))
	}
	return b.String()
}

func BenchmarkResolve(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		r := Resolve("response_code")
		_ = r
	}
}

func TestAnswers(t *testing.T) {
	for name, want := range map[string]bool{"k8s.container.name": true, "kubernetes.container.name": true, "container": true, "k8s_container_name": false, "my_own": false} {
		if Answers(name) != want {
			t.Errorf("%s: %v", name, !want)
		}
	}
}
