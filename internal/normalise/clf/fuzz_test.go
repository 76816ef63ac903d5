package clf

import (
	"testing"

	"github.com/meshtrail/meshtrail/internal/normalise/normalisetest"
)

func FuzzCLF(f *testing.F) {
	normalisetest.Fuzz(f, Formats, "apache", []string{
		"1769936401.586    921 10.0.0.68 TCP_DENIED/403 507 POST http://api.example:8080/s?a=1 - HIER_DIRECT/1.2.3.4 -",
		"10.0.0.5 - alice [02/Jan/2026:10:00:00 +0100] \"GET /a?b HTTP/1.1\" 200 45 \"-\" \"c\\x22\" 512 0.204 [shop-cart-80] [] 10.0.0.1:80, 10.0.0.2:80 0, 1 0.001, 0.002 502, 200 ab",
		"::1 - - [02/Jan/2026:10:00:00 +0100] \"-\" 408 - \"-\" \"-\" 1 \"r\" \"http://h:1\" 2ms",
		"[02/Jan/2026:10:00:00 +0000] - 200 200 - GET https h \"/l\" [Client 1.2.3.4] [Length 1] [Gzip 2.31] [Sent-to s] \"A\" \"r\"",
		"[02/Jan/2026:10:00:00 +0100] h 1.2.3.4 0.002 \"GET / HTTP/1.1\" 401 77 935 - U",
		"1.2.3.4 - - [21/Nov/2026:21:09:29 +0000] \"GET /c HTTP/1.1\" 404 500 \"\" \"\" 59364 103 \"f\" \"b\" \"s\" 0 0 0 1 1 ---- 1 1 0 0 0 0 0 \"\" \"\" \"c\"",
		"v:1 h - - [21/Nov/2026 21:09:29] \"GET / HTTP/1.1\" 200 6 \"-\" \"-\" \"1.2.3.4, ::1\" \"h\" sn=\"s\" rt=0.000 ua=\"-\" cs=-",
	}, new(Line), Squid{})
}
