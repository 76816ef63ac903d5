package apache

import (
	"testing"

	"github.com/meshtrail/meshtrail/internal/normalise/normalisetest"
)

func FuzzApacheError(f *testing.F) {
	normalisetest.Fuzz(f, Formats, "apache", []string{
		"[Sat Nov 21 21:32:31.589867 2026] [core:info] [pid 1:tid 2] [client ::1:53498] AH00129: x, referer: r",
		"[Mon Jan  2 10:00:00 2012] [error] [client 1.2.3.4] x",
		"AH00558: x",
		"[01/Mar/2021:12:00:19 +0000] [proxy:error] [pid 23964] (113)No: AH00957: HTTP",
	}, ErrorLog{})
}
