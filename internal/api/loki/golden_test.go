package loki

import (
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the answers of testdata anew")

// TestGolden holds every request in testdata/*.txt against the answer in the
// file of the same name with .golden. A request is a line METHOD PATH, lines
// "@Header: value" and "param=value", and ends with an empty line; # begins a
// comment. POST sends its parameters as a form.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no requests", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			w := newWorld(t)
			var out strings.Builder
			for block := range strings.SplitSeq(strings.TrimSpace(string(text)), "\n\n") {
				r, asked := request(t, block)
				code, body := w.do(r)
				fmt.Fprintf(&out, "%s\n%d %s\n\n", asked, code, strings.TrimSuffix(body, "\n"))
			}
			golden := strings.TrimSuffix(file, ".txt") + ".golden"
			if *update {
				if err := os.WriteFile(golden, []byte(out.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			compare(t, out.String(), string(want))
		})
	}
}

// compare names the requests whose answers differ.
func compare(t *testing.T, got, want string) {
	t.Helper()
	g, w := strings.Split(got, "\n\n"), strings.Split(want, "\n\n")
	if len(g) != len(w) {
		t.Fatalf("%d answers, want %d: run the test with -update and look at the difference", len(g), len(w))
	}
	for i := range g {
		if g[i] != w[i] {
			t.Errorf("got  %s\nwant %s", g[i], w[i])
		}
	}
}

// request reads one request, and says in one line what it asks.
func request(t *testing.T, block string) (*http.Request, string) {
	t.Helper()
	var method, path string
	header, form := http.Header{}, url.Values{}
	asked := ""
	for line := range strings.SplitSeq(block, "\n") {
		switch {
		case strings.HasPrefix(line, "#"):
			continue
		case method == "":
			method, path, _ = strings.Cut(line, " ")
		case strings.HasPrefix(line, "@"):
			name, value, _ := strings.Cut(line[1:], ": ")
			header.Set(name, value)
		default:
			name, value, ok := strings.Cut(line, "=")
			if !ok {
				t.Fatalf("request line %q", line)
			}
			form.Add(name, value)
		}
		asked += " " + line
	}
	var r *http.Request
	if method == "POST" {
		r = httptest.NewRequest(method, path, strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	} else {
		r = httptest.NewRequest(method, path+"?"+form.Encode(), nil)
	}
	for name := range header {
		r.Header.Set(name, header.Get(name))
	}
	return r, ">" + asked
}
