package fluent

import (
	"encoding/json"
	"fmt"
	"net"
	"slices"
	"sort"
	"strconv"
	"testing"
	"time"

	"github.com/fluent/fluent-logger-golang/fluent"

	"github.com/meshtrail/meshtrail/internal/receive"
	"github.com/meshtrail/meshtrail/internal/receive/receivetest"
)

// TestFluentLogger is Fluent's own Go library, in each of its forms.
func TestFluentLogger(t *testing.T) {
	f := func(name string, cfg fluent.Config, format string) {
		t.Helper()
		store := &receivetest.Intake{}
		host, port, _ := net.SplitHostPort(start(t, Config{}, store, receive.Limits{}))
		cfg.FluentHost, cfg.MaxRetry, cfg.WriteTimeout = host, 1, 10*time.Second
		cfg.FluentPort, _ = strconv.Atoi(port)
		logger, err := fluent.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		var want []string
		for i := range 50 {
			err := logger.PostWithTime("app.web", time.Unix(1_700_000_000, 5), map[string]any{"n": i, "deep": map[string]any{"ok": true}, "none": nil, "f": 1.5})
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			want = append(want, fmt.Sprintf(format, i))
		}
		if err := logger.Close(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var got []string
		for end := time.Now().Add(10 * time.Second); len(got) < 50 && time.Now().Before(end); <-time.After(5 * time.Millisecond) {
			got = got[:0] // without acknowledgement nobody says when
			for _, r := range store.Raws() {
				var object map[string]any
				json.Unmarshal(r.Payload, &object)
				got = append(got, fmt.Sprintf("%d %v %s", r.Time, object, receivetest.Fields(&r)))
			}
		}
		sort.Strings(got)
		sort.Strings(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s: %d records, the first\n got %v\nwant %v", name, len(got), got[:min(1, len(got))], want[:1])
		}
	}
	const record = " map[deep:map[ok:true] f:1.5 n:%d none:<nil>] fluent.tag="
	f("plain", fluent.Config{}, "1700000000000000000"+record+"app.web")
	f("acknowledged", fluent.Config{RequestAck: true, TagPrefix: "p"}, "1700000000000000000"+record+"p.app.web")
	f("acknowledged, EventTime", fluent.Config{RequestAck: true, SubSecondPrecision: true}, "1700000000000000005"+record+"app.web")
	f("JSON", fluent.Config{MarshalAsJSON: true}, "1700000000000000000"+record+"app.web")
	f("JSON, acknowledged", fluent.Config{MarshalAsJSON: true, RequestAck: true}, "1700000000000000000"+record+"app.web")
	f("behind the caller", fluent.Config{Async: true, RequestAck: true}, "1700000000000000000"+record+"app.web")
}
