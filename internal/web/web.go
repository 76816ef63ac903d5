// Package web is the page that people open: one HTML document with its style,
// its modules and its icon, embedded as they are in static/ (there is no build
// step). The page speaks to the API over HTTP like everyone, so this package
// imports no other door and knows nothing of logs.
//
// The files need no credential (access.Public): they are the same for everyone
// and hold no data. What the page shows it asks the API for, with the token that
// its reader gives it; the token stays in the tab (sessionStorage). Under the
// server's Content-Security-Policy nothing inline runs, so a record's text
// cannot become code.
package web

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"time"

	"github.com/meshtrail/meshtrail/internal/access"
	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/httpd"
)

//go:embed static
var static embed.FS

const page = "index.html"

// Routes returns the routes of the page's files. The page itself (Serve) shares
// its path / with the Elasticsearch API: app hangs it there as a Route.Page.
func Routes() ([]httpd.Route, error) {
	var routes []httpd.Route
	files, err := fs.ReadDir(static, "static")
	if err != nil {
		return nil, fault.Errorf(fault.Internal, "list the page's files: %w", err)
	}
	for _, f := range files {
		if f.Name() == page {
			continue
		}
		h, err := file(f.Name())
		if err != nil {
			return nil, err
		}
		routes = append(routes, httpd.Route{Pattern: "GET /assets/" + f.Name(), Need: access.Public, Handle: h})
	}
	return routes, nil
}

// Serve answers with the page.
func Serve(w http.ResponseWriter, r *http.Request) error {
	h, err := file(page)
	if err != nil {
		return err
	}
	return h(w, r)
}

// file returns a handler for one embedded file. Browsers may keep it, but ask
// each time whether it changed: a new binary is a new page at once.
func file(name string) (func(http.ResponseWriter, *http.Request) error, error) {
	data, err := static.ReadFile("static/" + name)
	if err != nil {
		return nil, fault.Errorf(fault.Internal, "read embedded %s: %w", name, err)
	}
	sum := sha256.Sum256(data)
	tag := `"` + hex.EncodeToString(sum[:8]) + `"`
	kind := mime.TypeByExtension(path.Ext(name))
	if path.Ext(name) == ".js" {
		kind = "text/javascript; charset=utf-8"
	}
	return func(w http.ResponseWriter, r *http.Request) error {
		w.Header().Set("Content-Type", kind)
		w.Header().Set("Cache-Control", "no-cache")
		w.Header().Set("ETag", tag)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
		return nil
	}, nil
}
