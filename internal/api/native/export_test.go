package native

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"

	"github.com/meshtrail/meshtrail/internal/query/querytest"
	words "github.com/meshtrail/meshtrail/internal/record"
)

// odd puts records that formats may stumble over.
func odd(t *testing.T, s *querytest.Store) {
	t.Helper()
	b := &words.Batch{Tenant: "acme", Ingest: noon.UnixNano()}
	b.Begin(noon.UnixNano(), "app")
	b.Str("body", "=cmd|' /C calc'!A0")
	b.Int("n", -5)
	b.Str("mixed", "text")
	b.Str("time", "a field called so")
	b.End()
	b.Begin(noon.UnixNano()+1, "app")
	b.Str("body", "say \"hi\",\r\nplease")
	b.Float("ratio", 0.5)
	b.Bool("ok", true)
	b.Int("mixed", 7)
	b.End()
	b.Begin(noon.UnixNano()+2, "debug")
	b.Str("service.name", "# cart")
	b.End()
	if err := s.Append(t.Context(), b); err != nil {
		t.Fatal(err)
	}
}

// exported fetches an export and checks the trailer against its bytes.
func exported(t *testing.T, base string, params ...string) []byte {
	t.Helper()
	v := url.Values{}
	for i := 0; i < len(params); i += 2 {
		v.Add(params[i], params[i+1])
	}
	req, err := http.NewRequestWithContext(t.Context(), "POST", base+"/api/v1/export", strings.NewReader(v.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != 200 {
		t.Fatalf("%v: %d %s %v", params, res.StatusCode, body, err)
	}
	var m ExportManifest
	if err := json.Unmarshal([]byte(res.Trailer.Get(manifestTrailer)), &m); err != nil || m.Bytes > int64(len(body)) {
		t.Fatalf("trailer %v: %v", res.Trailer, err)
	}
	sum := sha256.Sum256(body[:m.Bytes])
	if hex.EncodeToString(sum[:]) != m.SHA256 || m.Truncated || m.Partial || m.Rows != 3 {
		t.Errorf("trailer %+v does not fit %s", m, body)
	}
	if rest := body[m.Bytes:]; len(rest) > 0 {
		var inside ExportManifest
		text := bytes.TrimSpace(bytes.TrimPrefix(rest, []byte("# manifest ")))
		if text[0] == '{' && bytes.HasPrefix(text, []byte(`{"manifest":`)) {
			text = text[len(`{"manifest":`) : len(text)-1]
		}
		if err := json.Unmarshal(text, &inside); err != nil || inside.SHA256 != m.SHA256 || inside.Rows != 3 || inside.Bytes != m.Bytes {
			t.Errorf("manifest %s: %v", rest, err)
		}
	} else if v.Get("format") != "parquet" && v.Get("manifest") != "trailer" {
		t.Errorf("no manifest: %s", body)
	}
	return body[:m.Bytes]
}

func TestExportJSON(t *testing.T) {
	srv, s := readingWorld(t, nil)
	odd(t, s)
	body := exported(t, srv.URL)
	if lines := strings.Split(strings.TrimSpace(string(body)), "\n"); len(lines) != 3 || !strings.Contains(lines[2], `"service.name":"# cart"`) {
		t.Errorf("%s", body)
	}
}

func TestExportWithoutManifestLine(t *testing.T) {
	srv, s := readingWorld(t, nil)
	odd(t, s)
	for _, format := range []string{"csv", "ndjson"} {
		code, body := fetch(t, srv, "/api/v1/export", "format", format, "manifest", "trailer", "fields", "n")
		if part := exported(t, srv.URL, "format", format, "manifest", "trailer", "fields", "n"); code != 200 || body != string(part) {
			t.Errorf("%s: %s\nsealed: %s", format, body, part)
		}
	}
	if code, body := fetch(t, srv, "/api/v1/export", "manifest", "none"); code != 400 {
		t.Errorf("%d %s", code, body)
	}
}

func TestExportCSV(t *testing.T) {
	srv, s := readingWorld(t, nil)
	odd(t, s)
	f := func(want string, params ...string) {
		t.Helper()
		body := exported(t, srv.URL, append(params, "format", "csv")...)
		if string(body) != want {
			t.Errorf("%v\n got %q\nwant %q", params, body, want)
		}
		if _, err := csv.NewReader(bytes.NewReader(body)).ReadAll(); err != nil {
			t.Errorf("%v: %v", params, err)
		}
	}
	const at = "2026-11-20T12:00:00"
	f("time,ingest,ord,class,body,service.name,mixed,n,ok,ratio,field.time,other\r\n" +
		at + "Z," + at + "Z,1048576,app,\"'=cmd|' /C calc'!A0\",,text,-5,,,a field called so,\r\n" +
		at + ".000000001Z," + at + "Z,1048577,app,\"say \"\"hi\"\",\r\nplease\",,7,,true,0.5,,\r\n" +
		at + ".000000002Z," + at + "Z,1048578,debug,,\"# cart\",,,,,,\r\n")
	f("msg,n\r\n=cmd|' /C calc'!A0,-5\r\n\"say \"\"hi\"\",\r\nplease\",\r\n,\r\n", "fields", "msg,n", "formulas", "keep")
	f("ord,service,line\r\n1048578,\"# cart\",\"{\"\"service.name\"\":\"\"# cart\"\"}\"\r\n1048577,,\"say \"\"hi\"\",\r\nplease\"\r\n1048576,,\"'=cmd|' /C calc'!A0\"\r\n",
		"fields", "ord, service, line", "order", "newest")
	for name, params := range map[string][]string{
		"named twice":       {"fields", "a,b,a"},
		"a name is missing": {"fields", "a,,b"},
		"no ndjson":         {"format", "xlsx"},
		"formulas":          {"format", "csv", "formulas", "run"},
		"wanted here":       {"query", "rate({}[1m])"},
	} {
		code, body := fetch(t, srv, "/api/v1/export", params...)
		if code != 400 || name != "no ndjson" && !strings.Contains(body, name) {
			t.Errorf("%v: %d %s", params, code, body)
		}
	}
}

func TestExportParquet(t *testing.T) {
	srv, s := readingWorld(t, nil)
	odd(t, s)
	type row struct {
		Time  int64    `parquet:"time,timestamp(nanosecond)"`
		Ord   uint64   `parquet:"ord"`
		Class string   `parquet:"class"`
		Body  *string  `parquet:"body,optional"`
		N     *int64   `parquet:"n,optional"`
		Ratio *float64 `parquet:"ratio,optional"`
		OK    *bool    `parquet:"ok,optional"`
		Mixed *string  `parquet:"mixed,optional"`
		Field *string  `parquet:"field.time,optional"`
		Other *string  `parquet:"other,optional"`
	}
	body := exported(t, srv.URL, "format", "parquet")
	rows, err := parquet.Read[row](bytes.NewReader(body), int64(len(body)))
	if err != nil || len(rows) != 3 {
		t.Fatalf("%v, %v", rows, err)
	}
	a, b, c := rows[0], rows[1], rows[2]
	if a.Time != noon.UnixNano() || a.Ord != 1<<20 || *a.N != -5 || *a.Body != "=cmd|' /C calc'!A0" || *a.Mixed != "text" || a.Ratio != nil || *a.Field != "a field called so" || a.Other != nil {
		t.Errorf("%+v", a)
	}
	if *b.Ratio != 0.5 || !*b.OK || *b.Mixed != "7" || b.N != nil || c.Body != nil || c.Class != "debug" {
		t.Errorf("%+v %+v", b, c)
	}
	file, err := parquet.OpenFile(bytes.NewReader(body), int64(len(body)))
	if err != nil {
		t.Fatal(err)
	}
	text, _ := file.Lookup(manifestKey)
	var m ExportManifest
	if err := json.Unmarshal([]byte(text), &m); err != nil || m.Rows != 3 || m.Format != "parquet" || len(m.Columns) != 12 {
		t.Errorf("metadata %s: %v", text, err)
	}
	chosen := exported(t, srv.URL, "format", "parquet", "fields", "n,msg")
	if two, err := parquet.Read[struct {
		N    *int64  `parquet:"n,optional"`
		Body *string `parquet:"msg,optional"`
	}](bytes.NewReader(chosen), int64(len(chosen))); err != nil || *two[0].N != -5 || *two[1].Body != "say \"hi\",\r\nplease" {
		t.Errorf("%v, %v", two, err)
	}
}

// TestExportGoesOn writes more than one row group and more than any cap of rows.
func TestExportGoesOn(t *testing.T) {
	srv, s := readingWorld(t, nil)
	const n = 150_000
	b := &words.Batch{Tenant: "acme", Ingest: noon.UnixNano()}
	for i := range n {
		b.Begin(noon.UnixNano()+int64(i), "app")
		b.Int("n", int64(i))
		b.End()
	}
	if err := s.Append(context.Background(), b); err != nil {
		t.Fatal(err)
	}
	code, body := fetch(t, srv, "/api/v1/export", "format", "parquet", "fields", "n")
	file, err := parquet.OpenFile(strings.NewReader(body), int64(len(body)))
	if code != 200 || err != nil || file.NumRows() != n || len(file.RowGroups()) != 3 {
		t.Fatalf("%d, %v: %d rows in %d groups", code, err, file.NumRows(), len(file.RowGroups()))
	}
}
