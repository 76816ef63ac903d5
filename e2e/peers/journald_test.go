package peers

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/meshtrail/meshtrail/e2e/harness"
)

// slowly lets a second pass for each million bytes, so that an upload lasts long
// enough to die within.
type slowly struct{ io.ReadCloser }

func (s slowly) Read(p []byte) (int, error) {
	n, err := s.ReadCloser.Read(p[:min(len(p), 32<<10)])
	<-time.After(time.Duration(n) * time.Microsecond)
	return n, err
}

// TestJournalUpload lets systemd-journal-upload send a journal of shipRecords
// records, whose server dies twice within the upload. The program ends with its
// upload, and is started again as systemd does; it sends again from its last
// cursor. It can show no credential but a client certificate, so a proxy adds the
// token.
func TestJournalUpload(t *testing.T) {
	upload, remote := peer(t, "systemd-journal-upload"), peer(t, "systemd-journal-remote")
	const n = shipRecords
	sc := &scene{t: t, dir: t.TempDir(), data: harness.Init(t), wires: map[string]*wire{}}
	sc.shipping = &program{done: make(chan error, 1)}
	var records strings.Builder
	for i := range n {
		fmt.Fprintf(&records, "__REALTIME_TIMESTAMP=%d\n__MONOTONIC_TIMESTAMP=%d\n_BOOT_ID=0123456789abcdef0123456789abcdef\n_HOSTNAME=web-1\nPRIORITY=6\nSYSLOG_IDENTIFIER=app\n_PID=812\n_SYSTEMD_UNIT=app.service\nMESSAGE=peer-%06d- took %d ms\n\n",
			time.Now().Add(-time.Hour).UnixMicro()+int64(i), 1_000_000+i, i, i%97)
	}
	journal := filepath.Join(sc.dir, "web.journal")
	export := exec.Command(remote, "-o", journal, "-")
	export.Stdin = strings.NewReader(records.String())
	if out, err := export.CombinedOutput(); err != nil {
		t.Fatalf("write the journal: %v\n%s", err, out)
	}
	sc.serve()
	target, err := url.Parse("http://" + sc.listener(""))
	if err != nil {
		t.Fatal(err)
	}
	proxy := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Header.Set("Authorization", "Bearer "+sc.s.Token)
			r.Out.Body = slowly{r.Out.Body}
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	})
	defer proxy.Close()
	ctx, cancel := context.WithCancel(t.Context())
	var log harness.Log
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for ctx.Err() == nil {
			cmd := exec.CommandContext(ctx, upload, "-u", proxy.URL, "--file="+journal, "--save-state="+filepath.Join(sc.dir, "state"))
			cmd.Stdout, cmd.Stderr, cmd.Env = &log, &log, append(os.Environ(), "SYSTEMD_LOG_TARGET=console")
			cmd.Run()
			<-time.After(300 * time.Millisecond)
		}
	}()
	defer func() { cancel(); <-ended }()
	for _, share := range []int{4, 2} {
		if got := sc.await(n/share, n, 30*time.Second); got.seen < n/share {
			t.Fatalf("only %d records came; the program said:\n%.4000s\nthe server:\n%.3000s", got.seen, log.String(), sc.s.Log)
		}
		sc.kill()
		sc.serve()
	}
	got := sc.await(n, n, 30*time.Second)
	<-time.After(2 * time.Second) // what is under way may still be sent twice
	got = sc.count(n)
	t.Logf("| systemd-journal-upload | %s | journal upload | %d | 2 | %d | %d | %d |", version(upload, nil), n, got.missing, got.repeated, got.unordered)
	if got.missing > 0 || got.repeated > 0 || got.dead > 0 {
		t.Errorf("missing %d, repeated %d, refused %d; the program said:\n%s\nthe server:\n%.3000s", got.missing, got.repeated, got.dead, tail(log.String(), 4000), sc.s.Log)
	}
	sc.s.Stop()
	harness.Run(t, 0, "verify", sc.data)
}
