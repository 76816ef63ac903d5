package app

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/httpd"
	"github.com/meshtrail/meshtrail/internal/identity"
)

const receiversDoc = "../../docs/receivers.md"

const receiversHead = `<!-- Made from the code by "go generate ./internal/app"; receivers_test.go holds it against the code. -->
# Receivers

Every protocol in which records come in. Those over HTTP and gRPC stand on the one
port (` + "`server.listen`" + `, and ` + "`server.also`" + ` for the ports that senders know), behind
one gate: the credential says the tenant, and needs the role ` + "`sender`" + `. The others
have ports of their own, which are off until the configuration names them; there
the listener is the credential ([operate.md](operate.md)).

An acknowledgement always means that the records are on disk. A sender that gets
none sends again, and the column says when a repetition is seen once. **Lossy**
means that the protocol has no acknowledgement: what is lost on its way, or while
the server is down, is lost and nobody is told. It stands at each such source in
` + "`/api/v1/sources`" + ` and ` + "`/metrics`" + ` as well; some receivers are lossy over UDP only.

"Tested with" names the real programs that records were taken from. Where it is
empty, bytes were made from the protocol's description. "0 lost, 420 twice" is what
the program made of a server that was killed twice while it sent 12,000 records, the
second time after records were durable and before their sender was told (e2e/peers);
with which settings is in [ingest.md](ingest.md).

`

// receiversTable renders what the list of receivers says about itself.
func receiversTable() string {
	var b strings.Builder
	b.WriteString(receiversHead)
	b.WriteString("| receiver | protocol and versions | comes in over | acknowledgement | credential | limits | tested with |\n|---|---|---|---|---|---|---|\n")
	for _, p := range protocols {
		i := p.info
		ack := i.Ack
		if i.Lossy {
			ack = strings.TrimSuffix("**Lossy.** "+ack, " ")
		}
		cells := []string{"`" + i.Name + "`", i.Protocol + ": " + i.Versions, i.Over, ack, i.Credential, i.Limits, strings.Join(i.Tested, "; ")}
		for j := range cells {
			cells[j] = strings.ReplaceAll(cells[j], "|", `\|`)
		}
		fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | "))
	}
	return b.String()
}

// TestReceiversAreDocumented holds the document against the list, and the list
// against what every receiver owes it.
func TestReceiversAreDocumented(t *testing.T) {
	seen := map[string]bool{}
	for _, p := range protocols {
		i := p.info
		if i.Name == "" || i.Protocol == "" || i.Versions == "" || i.Over == "" || i.Credential == "" || seen[i.Name] {
			t.Errorf("receiver %q says too little about itself, or stands twice: %+v", i.Name, i)
		}
		if !i.Lossy && i.Ack == "" {
			t.Errorf("receiver %s has neither an acknowledgement nor is it lossy", i.Name)
		}
		seen[i.Name] = true
	}
	want := receiversTable()
	got, err := os.ReadFile(receiversDoc)
	if err == nil && string(got) == want {
		return
	}
	if !*update {
		t.Fatalf("%s is not what the receivers say; run go generate ./internal/app", receiversDoc)
	}
	if err := os.WriteFile(receiversDoc, []byte(want), 0o644); err != nil {
		t.Fatal(err)
	}
}

// failing is a receiver that cannot go on.
type failing struct{}

func (failing) Run(context.Context) error { return fault.Errorf(fault.Unavailable, "cannot go on") }

// TestAReceiverThatFailsEndsTheServer: half a server would lose records in
// silence.
func TestAReceiverThatFailsEndsTheServer(t *testing.T) {
	s := opened(t)
	s.cfg.Server.Listen = "127.0.0.1:0"
	var err error
	if s.http, err = httpd.New(httpd.Options{Config: s.cfg.Server, Keeper: s.keeper}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.http.Listen(); err != nil {
		t.Fatal(err)
	}
	s.running = append(s.running, failing{})
	if err := s.run(t.Context()); !fault.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "cannot go on") {
		t.Errorf("%v", err)
	}
}

// TestTokenFiles reads credentials as the configuration names them.
func TestTokenFiles(t *testing.T) {
	dir := t.TempDir()
	f := func(content string, mode os.FileMode, want string) {
		t.Helper()
		name := filepath.Join(dir, "t")
		os.Remove(name)
		if err := os.WriteFile(name, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
		os.Chmod(name, mode) // whatever the umask is
		_, err := readCredential(name)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want) || fault.HintOf(err) == "") {
			t.Errorf("%.10q, mode %o: %v, want %q", content, mode, err, want)
		}
	}
	token := identity.NewToken()
	f(token, 0o600, "")
	f(token, 0o440, "") // as Kubernetes mounts a secret for a group
	f(token, 0o644, "mode")
	f(token, 0o620, "mode")
	f(identity.Hash(token), 0o644, "")
	f(identity.Hash(token), 0o664, "mode")
	f("short", 0o600, "at least")
	if _, err := readCredential(dir); err == nil {
		t.Error("a folder is a token")
	}
	if _, err := readCredential(filepath.Join(dir, "absent")); !fault.Is(err, fault.NotFound) {
		t.Errorf("%v", err)
	}
}
