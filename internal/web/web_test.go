package web

import (
	"context"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/meshtrail/meshtrail/internal/access"
	"github.com/meshtrail/meshtrail/internal/httpd"
)

func TestEveryFileIsServedAsWhatItIs(t *testing.T) {
	routes, err := Routes()
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]string{".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", "page": "text/html"}
	routes = append(routes, httpd.Route{Pattern: "GET /page", Need: access.Public, Handle: Serve})
	for _, route := range routes {
		if route.Need != access.Public {
			t.Errorf("%s needs %s", route.Pattern, route.Need)
		}
		_, path, _ := strings.Cut(route.Pattern, " ")
		w := httptest.NewRecorder()
		if err := route.Handle(w, httptest.NewRequest("GET", path, nil)); err != nil {
			t.Fatal(err)
		}
		for end, kind := range kinds {
			if strings.HasSuffix(path, end) && !strings.HasPrefix(w.Header().Get("Content-Type"), kind) {
				t.Errorf("%s is %s", path, w.Header().Get("Content-Type"))
			}
		}
		r := httptest.NewRequest("GET", path, nil)
		r.Header.Set("If-None-Match", w.Header().Get("ETag"))
		again := httptest.NewRecorder()
		if err := route.Handle(again, r); err != nil || again.Code != http.StatusNotModified {
			t.Errorf("%s asked again: %d, %v", path, again.Code, err)
		}
	}
}

// TestThePageObeysItsPolicy looks for what the Content-Security-Policy forbids
// and for the ways in which text could become markup.
func TestThePageObeysItsPolicy(t *testing.T) {
	bad := []*regexp.Regexp{
		regexp.MustCompile(`<script(?:[^>]*)>[^<]`), // inline code
		regexp.MustCompile(`<[^>]+\son\w+=`),        // inline handlers
		regexp.MustCompile(`<[^>]+\sstyle=`),        // inline style
		regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function`),
		regexp.MustCompile(`localStorage`), // the token dies with the tab
		regexp.MustCompile(`(?:src|href)="https?://|import[^;]*"https?://|url\(["']?https?:`),
	}
	err := fs.WalkDir(static, "static", func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := static.ReadFile(p)
		for _, re := range bad {
			if m := re.Find(data); m != nil {
				t.Errorf("%s: %q", p, m)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestThePageNamesItsFiles finds references to files and elements that are not there.
func TestThePageNamesItsFiles(t *testing.T) {
	html, _ := static.ReadFile("static/index.html")
	for _, m := range regexp.MustCompile(`"/assets/([^"]+)"`).FindAllSubmatch(html, -1) {
		if _, err := static.ReadFile("static/" + string(m[1])); err != nil {
			t.Error(err)
		}
	}
	ids := map[string]bool{}
	for _, m := range regexp.MustCompile(`\sid="([^"]+)"`).FindAllSubmatch(html, -1) {
		if ids[string(m[1])] {
			t.Errorf("id %s is given twice", m[1])
		}
		ids[string(m[1])] = true
	}
	for _, m := range regexp.MustCompile(`\saria-(?:controls|describedby|labelledby)="([^"]+)"`).FindAllSubmatch(html, -1) {
		if !ids[string(m[1])] {
			t.Errorf("an element refers to %s", m[1])
		}
	}
	for _, m := range regexp.MustCompile(`<label[^>]*\sfor="([^"]+)"`).FindAllSubmatch(html, -1) {
		if !ids[string(m[1])] {
			t.Errorf("a label is for %s", m[1])
		}
	}
	files, _ := fs.Glob(static, "static/*.js")
	for _, f := range files {
		src, _ := static.ReadFile(f)
		for _, m := range regexp.MustCompile(`\$\("([^"]+)"\)`).FindAllSubmatch(src, -1) {
			if !ids[string(m[1])] {
				t.Errorf("%s asks for the element %s", f, m[1])
			}
		}
		for _, m := range regexp.MustCompile(`from "\./([^"]+)"`).FindAllSubmatch(src, -1) {
			if _, err := static.ReadFile("static/" + string(m[1])); err != nil {
				t.Errorf("%s: %v", f, err)
			}
		}
	}
}

// TestModules runs testdata/*.test.js, the tests of the page's modules, beside
// copies of them in one folder: there a package.json can say what browsers know,
// that they are modules.
func TestModules(t *testing.T) {
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("node is not installed: the page's modules are not tested")
	}
	dir := t.TempDir()
	put := func(name string, data []byte) {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put("package.json", []byte(`{"type": "module"}`))
	modules, _ := fs.Glob(static, "static/*.js")
	for _, m := range modules {
		data, _ := static.ReadFile(m)
		put(filepath.Base(m), data)
	}
	tests, err := filepath.Glob("testdata/*.test.js")
	if err != nil || len(tests) == 0 {
		t.Fatal("there are no tests", err)
	}
	args := []string{"--test"}
	for _, name := range tests {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		put(filepath.Base(name), data)
		args = append(args, filepath.Base(name))
	}
	ctx, cancel := context.WithTimeout(context.Background(), 45*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, node, args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// TestThePageIsSmall holds what a reader waits for under 400 kB, and each module
// within what one can read.
func TestThePageIsSmall(t *testing.T) {
	var all int
	files, _ := fs.Glob(static, "static/*")
	for _, f := range files {
		data, _ := static.ReadFile(f)
		all += len(data)
		if n := strings.Count(string(data), "\n"); n > 600 {
			t.Errorf("%s has %d lines", f, n)
		}
	}
	if all > 400_000 {
		t.Errorf("the page has %d bytes", all)
	}
}
