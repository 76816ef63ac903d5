package web

import (
	"io/fs"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

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
	main, _ := static.ReadFile("static/main.js")
	for _, m := range regexp.MustCompile(`\$\("([^"]+)"\)`).FindAllSubmatch(main, -1) {
		if !ids[string(m[1])] {
			t.Errorf("main.js asks for the element %s", m[1])
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
		for _, m := range regexp.MustCompile(`from "\./([^"]+)"`).FindAllSubmatch(src, -1) {
			if _, err := static.ReadFile("static/" + string(m[1])); err != nil {
				t.Errorf("%s: %v", f, err)
			}
		}
	}
}
