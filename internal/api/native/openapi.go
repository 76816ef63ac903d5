package native

import (
	_ "embed"
	"net/http"

	"github.com/meshtrail/meshtrail/internal/access"
	"github.com/meshtrail/meshtrail/internal/httpd"
)

//go:embed openapi.json
var openAPI []byte

// OpenAPI returns the route of the API's description (OpenAPI 3.1). It holds no
// data, but tells what runs here, so it needs the credential of any reader.
func OpenAPI() []httpd.Route {
	return []httpd.Route{{Pattern: "GET /api/openapi.json", Need: access.LogsRead, Handle: func(w http.ResponseWriter, _ *http.Request) error {
		w.Header().Set("Content-Type", "application/json")
		_, err := w.Write(openAPI)
		return err
	}}}
}
