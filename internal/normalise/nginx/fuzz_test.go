package nginx

import (
	"testing"

	"github.com/meshtrail/meshtrail/internal/normalise/normalisetest"
)

func FuzzNGINXError(f *testing.F) {
	normalisetest.Fuzz(f, Formats, "nginx", []string{
		"2026/11/21 21:09:21 [error] 31#31: *4 connect() failed (111: x) while connecting to upstream, client: ::1, server: s, request: \"GET /x HTTP/1.1\", upstream: \"http://127.0.0.1:1/u\", host: \"h:1\", referrer: \"r\"",
		"2026/11/21 21:09:21 [error] 8#8: *9 ModSecurity: Access denied [id \"1\"] [msg \"m\"], client: 1.2.3.4",
		"2026/11/21 21:09:22 [error] 1#1: *23 limiting requests, excess: 0.978 by zone \"one\"",
	}, ErrorLog{})
}
