package peers

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestVlagent sends through vlagent, which takes records in over HTTP, keeps them
// on its disk and sends them on in VictoriaLogs's own protocol.
func TestVlagent(t *testing.T) {
	listen := freeAddr(t)
	ship(t, shipper{
		client: "vlagent", protocol: "VictoriaLogs native", binary: "vlagent",
		setup: func(sc *scene) []string {
			return []string{
				"-httpListenAddr", listen, "-remoteWrite.url", sc.expand("http://${ADDR}/internal/insert"), "-remoteWrite.bearerToken", sc.s.Token,
				"-remoteWrite.tmpDataPath", sc.dir, "-remoteWrite.flushInterval", "200ms", "-remoteWrite.retryMinInterval", "100ms", "-remoteWrite.retryMaxTime", "1s",
			}
		},
		feed: func(sc *scene, lines string) error {
			var err error
			for range 100 { // it begins to listen some time after its start
				var res *http.Response
				if res, err = http.Post("http://"+listen+"/insert/jsonline?_msg_field=message&_stream_fields=app", "application/stream+json", strings.NewReader(lines)); err == nil {
					res.Body.Close()
					if res.StatusCode/100 != 2 {
						return fmt.Errorf("vlagent answers %s", res.Status)
					}
					return nil
				}
				<-time.After(50 * time.Millisecond)
			}
			return err
		},
	})
}
