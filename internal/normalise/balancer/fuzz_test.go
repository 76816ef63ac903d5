package balancer

import (
	"testing"

	"github.com/meshtrail/meshtrail/internal/normalise/normalisetest"
)

func FuzzAmazon(f *testing.F) {
	normalisetest.Fuzz(f, Formats, "balancer", []string{
		"h2 2026-02-01T09:00:01.186641Z app/s/5 1.2.3.4:1 10.0.0.6:9 0.001 0.027 0.002 502 - 5 257 \"GET https://h:443/c?i HTTP/2.0\" \"o \\\"x\\\"\" C TLSv1.3 arn:aws:e:r:1:t \"Root=1-58337327-72bd00b0343d75b906739c42\" \"d\" \"c\" 1 2026-02-01T09:00:01.150000Z \"waf\"",
		"2015-05-13T23:39:43.945958Z lb 1.2.3.4:1 - -1 -1 -1 503 0 0 0 \"- - - \"",
		"tls 2.0 2020-04-01T08:51:42 n l [::1]:1 1.2.3.4:2 5 2 98 246 - a - C tlsv12 - d h2 h2 \"h2\"",
		"2019-12-04\t21:02:31\tL\t392\t1.2.3.4\tGET\td\t/i\t200\tr%20\tM%C3%A9%00\ta\t-\tHit\tS\th\thttps\t23\t0.001\t-",
	}, new(Amazon))
}
