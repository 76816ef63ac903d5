package schema

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// contract is what a reader of old records relies on: a version, and a line for
// each field of it. A line never changes within a version.
func contract() (version string, lines map[string]string) {
	lines = map[string]string{}
	for i := range fields {
		f := &fields[i]
		lines[f.Name] = fmt.Sprintf("%s|%s|%s|%s|%s", f.Name, f.Type, f.Unit, f.Sensitivity, f.Values)
	}
	return fmt.Sprintf("version %d", Version), lines
}

var contractFile = filepath.Join("testdata", "dictionary.txt")

// kept reads the contract as it was written.
func kept(t *testing.T) (version string, lines map[string]string) {
	t.Helper()
	data, err := os.ReadFile(contractFile)
	if os.IsNotExist(err) {
		return "", nil
	}
	if err != nil {
		t.Fatal(err)
	}
	version, rest, _ := strings.Cut(strings.TrimSpace(string(data)), "\n")
	lines = map[string]string{}
	for line := range strings.SplitSeq(rest, "\n") {
		name, _, _ := strings.Cut(line, "|")
		lines[name] = line
	}
	return version, lines
}

// changed lists the fields that are not any more what they were.
func changed(old, now map[string]string) (out []string) {
	for name, line := range old {
		if now[name] != line {
			out = append(out, fmt.Sprintf("%s was %q, is %q", name, line, now[name]))
		}
	}
	slices.Sort(out)
	return out
}

// updateVersion writes the contract, unless it changed without a new version.
func updateVersion(t *testing.T) {
	t.Helper()
	oldVersion, old := kept(t)
	version, now := contract()
	if list := changed(old, now); version == oldVersion && len(list) > 0 {
		t.Fatalf("fields changed: raise schema.Version\n%s", strings.Join(list, "\n"))
	}
	lines := []string{}
	for _, line := range now {
		lines = append(lines, line)
	}
	slices.Sort(lines)
	if err := os.WriteFile(contractFile, []byte(version+"\n"+strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestVersion: a field that is not any more what it was needs a new version.
func TestVersion(t *testing.T) {
	oldVersion, old := kept(t)
	version, now := contract()
	if list := changed(old, now); version == oldVersion && len(list) > 0 {
		t.Errorf("fields changed: raise schema.Version and run go generate ./internal/schema\n%s", strings.Join(list, "\n"))
	}
	if version != oldVersion || len(old) != len(now) {
		t.Errorf("%s has %d fields of %s, the dictionary %d of %s: run go generate ./internal/schema", contractFile, len(old), oldVersion, len(now), version)
	}
}

// TestVersionBites: a changed, a renamed and a removed field are found.
func TestVersionBites(t *testing.T) {
	old := map[string]string{"a": "a|int|ns", "b": "b", "c": "c"}
	if got := changed(old, map[string]string{"a": "a|int|ms", "c": "c", "d": "d"}); len(got) != 2 {
		t.Errorf("%q", got)
	}
}

var elsewhere = regexp.MustCompile(`^[A-Za-z0-9_.\[\]]+(, [a-z0-9_.]+)?( \([^()]+\))?$`)

// TestMappings: every mapping is of a field, and has the form of a name.
func TestMappings(t *testing.T) {
	for name := range mappings {
		f, ok := Lookup(name)
		if !ok {
			t.Errorf("%s is no field", name)
			continue
		}
		for _, to := range []string{f.OTel, f.ECS, f.OCSF} {
			if to != "" && !elsewhere.MatchString(to) {
				t.Errorf("%s: %q is no name", name, to)
			}
		}
		if f.OTel == name {
			t.Errorf("%s: OpenTelemetry's name is the field's own", name)
		}
	}
	for _, name := range []string{"http.request.method", "http.response.status_code", "user.name", "client.address", "mesh.policy.decision", "trace_id"} {
		if f, _ := Lookup(name); f.ECS == "" || f.OCSF == "" {
			t.Errorf("%s has no mapping: %+v", name, f)
		}
	}
}

// TestAliasesAgree: an alias of several fields has one unit, or a bare number
// beside it would mean two things; and no two fields have an alias of the same
// owner, but where the platform itself uses one name for both.
func TestAliasesAgree(t *testing.T) {
	type use struct {
		field string
		unit  Unit
		from  string
	}
	uses := map[string][]use{}
	for i := range fields {
		for _, a := range fields[i].Aliases {
			uses[a.Name] = append(uses[a.Name], use{fields[i].Name, a.Unit, a.From})
		}
	}
	for alias, list := range uses {
		for _, u := range list[1:] {
			if u.unit != list[0].unit {
				t.Errorf("alias %s is of %s in %q and of %s in %q", alias, list[0].field, list[0].unit, u.field, u.unit)
			}
			if u.from == list[0].from && !shared[alias] {
				t.Errorf("alias %s of %s is %s and %s", alias, u.from, list[0].field, u.field)
			}
		}
	}
	idents := map[string]string{}
	for i := range fields {
		idents[Identifier(fields[i].Name)] = fields[i].Name
	}
	for alias, list := range uses {
		for _, u := range list {
			if other := idents[Identifier(alias)]; other != "" && other != u.field {
				t.Errorf("LogQL writes alias %s of %s as %s", alias, u.field, other)
			}
		}
	}
	also := map[string]string{}
	for i := range fields {
		for _, c := range fields[i].Also {
			if other := also[c]; other != "" && !shared[c] {
				t.Errorf("column %s answers for %s and %s", c, other, fields[i].Name)
			}
			also[c] = fields[i].Name
		}
	}
}

// shared are names that one platform uses for two fields: bytes of an HTTP body,
// and of a connection that is not HTTP.
var shared = map[string]bool{"bytes_sent": true, "bytes_received": true}

// TestSizesHaveUnits: what is named a size or bytes is in bytes, and nothing else is.
func TestSizesHaveUnits(t *testing.T) {
	for i := range fields {
		f := &fields[i]
		named := strings.HasSuffix(f.Name, ".size") || strings.Contains(f.Name, "bytes") || strings.HasSuffix(f.Name, "_size")
		if named != (f.Unit == ByteCount) {
			t.Errorf("%s has the unit %q", f.Name, f.Unit)
		}
		if f.Unit != NoUnit && f.Type != Integer {
			t.Errorf("%s has the unit %q and the type %s", f.Name, f.Unit, f.Type)
		}
	}
}
