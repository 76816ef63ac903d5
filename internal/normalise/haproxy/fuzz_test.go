package haproxy

import (
	"testing"

	"github.com/meshtrail/meshtrail/internal/normalise/normalisetest"
)

func FuzzHAProxy(f *testing.F) {
	normalisetest.Fuzz(f, Formats, "haproxy", []string{
		"haproxy[1]: 10.0.1.2:33317 [06/Feb/2009:12:14:14.655] f~ b/s 9/10/7/14/+30 200 +243 - - --NN 3/1/1/1/+2 1/0 {a|#22} {c} \"GET /i#00?a=1 HTTP/1.0\" 0/0/0/0/0 sni/TLSv1.3/C",
		"::1:1 [15/Oct/2003:15:24:28.312] f b/s 0/0/5007 0 cD 0/0/0/0/0 0/0",
		"1.2.3.4:5 [28/Feb/2025:02:43:11.234] f/b: SSL handshake failure",
		"Connect from 1.2.3.4:1 to 1.2.3.4:2 (f/TCP)",
		"[WARNING] 325/210925 (1) : Server a/s is DOWN, reason: x, check",
	}, new(Line))
}
