package e2e

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	lumber "github.com/elastic/go-lumber/client/v2"
	"github.com/fluent/fluent-logger-golang/fluent"
	"github.com/meshtrail/meshtrail/e2e/harness"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protowire"
)

// A plant is a secret that is sent in some form. Its core is in no other plant.
type plant struct {
	what, core string
	text       string // the form in which it is sent
	name       string // a name of a field that holds it, "" where the form is no name
}

// nursery makes plants: the same every time, each core once.
type nursery struct{ r *rand.Rand }

const base32Upper, base62 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// draw returns n bytes of an alphabet, with a digit, a capital and, where the
// alphabet has them, a small letter at known places.
func (g *nursery) draw(alphabet string, n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = alphabet[g.r.IntN(len(alphabet))]
	}
	b[1], b[2] = '7', 'Q'
	if strings.Contains(alphabet, "z") {
		b[3] = 'k'
	}
	return string(b)
}

// secrets are what is planted: how a core is made, and the words around it that
// its kind needs, with %s for the core.
var secrets = []struct {
	what, around string
	make         func(g *nursery) string
}{
	{"aws-access-key", "%s", func(g *nursery) string { return "AKIA" + g.draw(base32Upper, 16) }},
	{"github-token", "%s", func(g *nursery) string {
		s := g.draw(base62, 30)
		n, sum := crc32.ChecksumIEEE([]byte(s)), [6]byte{}
		for i := 5; i >= 0; i-- {
			sum[i], n = base62[n%62], n/62
		}
		return "ghp_" + s + string(sum[:])
	}},
	{"password", "password=%s", func(g *nursery) string { return "pw" + g.draw(base62, 14) }},
	{"bearer", "Authorization: Bearer %s", func(g *nursery) string { return g.draw(base62, 32) }},
	{"jwt", "%s", func(g *nursery) string {
		enc := base64.RawURLEncoding.EncodeToString
		return enc([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + enc([]byte(`{"sub":"`+g.draw(base62, 12)+`"}`)) + "." + g.draw(base62, 43)
	}},
	{"email", "%s", func(g *nursery) string { return strings.ToLower(g.draw(base62, 12)) + "@planted.example.com" }},
	{"pan", "%s", func(g *nursery) string {
		for {
			d := "4"
			for range 14 {
				d += strconv.Itoa(g.r.IntN(10))
			}
			for c := range 10 {
				if n := d + strconv.Itoa(c); luhn(n) {
					return n
				}
			}
		}
	}},
}

func luhn(s string) bool {
	sum := 0
	for i := range len(s) {
		d := int(s[len(s)-1-i] - '0')
		if i%2 == 1 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
	}
	return sum%10 == 0
}

// forms are the ways in which a text can hide what it holds.
var forms = []struct {
	name string
	of   func(around, core string) string
}{
	{"plain", func(around, core string) string { return "saw " + fmt.Sprintf(around, core) + " there" }},
	{"alone", fmt2},
	{"quoted", func(around, core string) string {
		q, _ := json.Marshal(map[string]string{"v": fmt.Sprintf(around, core)})
		return string(q)
	}},
	{"quoted twice", func(around, core string) string {
		q, _ := json.Marshal(map[string]string{"v": fmt.Sprintf(around, core)})
		q, _ = json.Marshal(map[string]string{"msg": string(q)})
		return string(q)
	}},
	{"base64", func(around, core string) string {
		return "p=" + base64.StdEncoding.EncodeToString([]byte(`{"v":"`+fmt.Sprintf(around, core)+`"}`))
	}},
	{"base64url", func(around, core string) string {
		return "GET /cb/" + base64.RawURLEncoding.EncodeToString([]byte("is "+fmt.Sprintf(around, core))) + " 200"
	}},
	{"URL escapes", func(around, core string) string {
		return "GET /q?v=" + url.QueryEscape(fmt.Sprintf(strings.ReplaceAll(around, " ", "%%20"), fmt.Sprintf("%%%02X", core[0])+core[1:])) + "&x=1"
	}},
	{"URL escape within", func(around, core string) string {
		return "v=" + fmt.Sprintf(around, core[:4]+fmt.Sprintf("%%%02x", core[4])+core[5:])
	}},
	{"JSON escape", func(around, core string) string {
		return `{"v":"` + fmt.Sprintf(around, core[:3]+fmt.Sprintf(`\u%04x`, core[3])+core[4:]) + `"}`
	}},
	{"joined", func(around, core string) string {
		return `k = "` + fmt.Sprintf(around, core[:5]+`" + "`+core[5:]) + `"`
	}},
	{"base64 of escapes", func(around, core string) string {
		return base64.StdEncoding.EncodeToString([]byte("a=1&v=" + url.QueryEscape(fmt.Sprintf(around, core)) + "&b=2"))
	}},
}

func fmt2(around, core string) string { return fmt.Sprintf(around, core) }

// all makes a plant of each secret in each form.
func (g *nursery) all(way string) (out []plant) {
	for _, s := range secrets {
		for _, f := range forms {
			if f.name == "joined" && strings.Contains(s.around, "Bearer") {
				continue // of a header that is joined the second half is a text of its own
			}
			core := s.make(g)
			p := plant{what: way + ": " + s.what + ", " + f.name, core: core, text: f.of(s.around, core)}
			if f.name == "alone" && s.around == "%s" {
				p.name = core
			}
			out = append(out, p)
		}
	}
	return out
}

// doc is a record as JSON that holds a plant as a value, deep within, in a list,
// and as a name.
func (p plant) doc(i int) string {
	q := func(s string) string { b, _ := json.Marshal(s); return string(b) }
	d := fmt.Sprintf(`{"id":"%d","app":"planted","message":%s,"deep":{"er":{"v":%s}},"list":["x",%s]`, i, q(p.text), q(p.text), q(p.text))
	if p.name != "" {
		d += "," + q(p.name) + `:"v","attr.` + strings.ReplaceAll(p.name, ".", "_") + `":"v"`
	}
	return d + "}"
}

// traces are the texts of which none may be anywhere once p was sent: its core, in
// hexadecimal, in base64 at each of the three places of a byte, and what was sent.
func (p plant) traces() []string {
	core := []byte(p.core)
	out := []string{p.core, hex.EncodeToString(core), p.text}
	for skip := range 3 {
		padded := append(make([]byte, skip), core...)
		e := base64.StdEncoding.EncodeToString(padded[:len(padded)/3*3])
		e = e[min(len(e), 4*min(skip, 1)):] // the first group has other bytes in it
		out = append(out, e, strings.NewReplacer("+", "-", "/", "_").Replace(e))
	}
	if p.text == p.core {
		return out
	}
	q, _ := json.Marshal(p.text)
	return append(out, string(q[1:len(q)-1]), url.QueryEscape(p.core), p.core[4:])
}

// TestPlantedSecrets sends secrets of every family in every form through every
// protocol: as values, deep values, names, attributes, labels, in spans, and in
// records that are refused. Then it reads back every record there is, the dead
// letters among them, and looks at every file.
func TestPlantedSecrets(t *testing.T) {
	t.Parallel()
	port := func() string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		return l.Addr().String()
	}
	fluentd, beats, sys, gelf := port(), port(), port(), port()
	data := harness.Init(t)
	f, err := os.OpenFile(filepath.Join(data, "meshtrail.yaml"), os.O_APPEND|os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(f, "\nreceivers:\n  fluent: {listen: %q}\n  lumberjack: {listen: %q}\n  syslog:\n    tcp: {listen: %q}\n    udp: {listen: %q}\n  gelf:\n    tcp: {listen: %q}\n    udp: {listen: %q}\n", fluentd, beats, sys, sys, gelf, gelf)
	f.WriteString("policy:\n  rules:\n    - id: people\n      redact: {detect: [email, pan]}\n")
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	s := harness.Serve(t, data)
	g := &nursery{rand.New(rand.NewPCG(1, 2))}
	var planted []plant
	spool := filepath.Join(t.TempDir(), "agent")
	all := append(ways(t, s, fluentd, beats, sys, gelf), accessLogs(t, s), files(t, s, spool))
	for _, w := range all {
		list := g.all(w.name)
		w.send(list)
		planted = append(planted, list...)
	}
	want := 0
	for _, w := range all {
		want += max(w.per, 1) * len(planted) / len(all)
	}
	found := s.Ask(`{}`)
	for end := time.Now().Add(20 * time.Second); len(found) < want && time.Now().Before(end); <-time.After(50 * time.Millisecond) {
		found = s.Ask(`{}`) // UDP and TCP answer nothing
	}
	text, dead := exported(t, found)
	if len(found) < want-want/20 || dead < 10 { // UDP may lose some
		t.Fatalf("only %d records are there, %d of them dead letters, of %d that were sent", len(found), dead, want)
	}
	t.Logf("%d secrets were planted; %d records are there, %d of them dead letters", len(planted), len(found), dead)
	leaks := 0
	inText(text, planted, plant.traces, func(p plant, at int, trace string) {
		if leaks++; leaks < 40 {
			t.Errorf("%s: %q is there: …%s…", p.what, trace, text[max(0, at-120):min(len(text), at+len(trace)+80)])
		}
	})
	if leaks > 0 {
		t.Errorf("%d traces of %d planted secrets are there", leaks, len(planted))
	}
	harness.Run(t, 0, "seal", "--server", s.Base, "--token-file", filepath.Join(data, "admin.token"))
	s.Kill()
	nowhere(t, data, s.Log.String(), planted)
	nowhere(t, spool, "", planted)
}

// exported is everything that a reader can see, as it is answered and with the
// escapes of JSON undone, and how many of the records are dead letters.
func exported(t *testing.T, found []harness.Found) (text string, dead int) {
	t.Helper()
	var b strings.Builder
	for _, f := range found {
		if f.Class == "deadletter" {
			dead++
		}
		j, err := json.Marshal(f)
		if err != nil {
			t.Fatal(err)
		}
		b.Write(j)
		b.WriteString("\n" + f.Line + "\n")
		for name, v := range f.Fields {
			fmt.Fprintf(&b, "%s\n%v\n", name, v)
		}
	}
	return b.String(), dead
}

// nowhere requires that no file below data, and nothing of what the server said,
// holds a planted secret in the clear.
func nowhere(t *testing.T, data, said string, planted []plant) {
	t.Helper()
	files := 0
	err := filepath.WalkDir(data, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files++
		b, err := os.ReadFile(path)
		inText(string(b), planted, itself, func(p plant, _ int, _ string) {
			t.Errorf("%s: %q is in %s", p.what, p.core, path)
		})
		return err
	})
	if err != nil || files == 0 {
		t.Fatalf("%d files, %v", files, err)
	}
	inText(said, planted, itself, func(p plant, _ int, _ string) {
		t.Errorf("%s: the server says %q", p.what, p.core)
	})
}

func itself(p plant) []string { return []string{p.core} }

// inText calls f for each place in text of a trace of a plant. It looks at each
// place once: there are thousands of traces.
func inText(text string, planted []plant, traces func(plant) []string, f func(p plant, at int, trace string)) {
	type one struct {
		p     plant
		trace string
	}
	heads := map[string][]one{}
	for _, p := range planted {
		for _, trace := range traces(p) {
			if len(trace) >= 8 {
				heads[trace[:8]] = append(heads[trace[:8]], one{p, trace})
			}
		}
	}
	for i := 0; i+8 <= len(text); i++ {
		for _, x := range heads[text[i:i+8]] {
			if strings.HasPrefix(text[i:], x.trace) {
				f(x.p, i, x.trace)
			}
		}
	}
}

// way is one protocol, and how plants are sent by it.
type way struct {
	name string
	per  int // records for each plant; 0 is one
	send func(list []plant)
}

func ways(t *testing.T, s *harness.Server, fluentd, beats, sys, gelf string) (out []way) {
	jsonType := map[string]string{"Content-Type": "application/json"}
	q := func(s string) string { b, _ := json.Marshal(s); return string(b) }
	docs := func(list []plant) (out []string) {
		for i, p := range list {
			out = append(out, p.doc(i))
		}
		return out
	}
	for _, d := range dialects {
		out = append(out, way{d.name, 1, func(list []plant) {
			code, answer, err := s.Request("POST", d.path, d.header(s.Token, 0), d.body(0, docs(list)))
			if err != nil || !d.kept(code, answer) {
				t.Fatalf("%s: %d %.300s %v", d.name, code, answer, err)
			}
		}})
	}
	// Each list of what a protocol sends ends with records that are refused.
	out = append(out, way{"bulk", 2, func(list []plant) {
		all := docs(list)
		for _, p := range list {
			all = append(all, `{"app":"planted","broken":`+q(p.text))
		}
		s.Must("POST", "/_bulk", map[string]string{"Content-Type": "application/x-ndjson"}, harness.BulkBody(all))
	}}, way{"lines", 2, func(list []plant) {
		var b bytes.Buffer
		for i, p := range list {
			fmt.Fprintf(&b, "%s\n{\"app\":\"planted\",\"broken\":%s\n", p.doc(i), q(p.text))
		}
		s.Request("POST", "/api/v1/ingest", map[string]string{"Content-Type": "application/x-ndjson"}, b.Bytes())
	}}, way{"text", 1, func(list []plant) {
		var b bytes.Buffer
		for _, p := range list {
			b.WriteString(p.text + "\n")
		}
		s.Must("POST", "/api/v1/ingest", map[string]string{"Content-Type": "text/plain"}, b.Bytes())
	}}, way{"loki", 2, func(list []plant) {
		for i, p := range list {
			pushLoki(t, s, time.Now().Add(time.Duration(i)*time.Second), `{"app":"planted","label":`+q(p.text)+`}`, `{"meta":`+q(p.text)+`}`, p.text, p.doc(i))
		}
	}}, way{"otlp logs", 2, func(list []plant) {
		for _, p := range list {
			kv := `{"key":"k","value":{"stringValue":` + q(p.text) + `}},{"key":"l","value":{"arrayValue":{"values":[{"stringValue":` + q(p.text) + `}]}}},{"key":"b","value":{"bytesValue":"` + base64.StdEncoding.EncodeToString([]byte(p.text)) + `"}}`
			s.Must("POST", "/v1/logs", jsonType, fmt.Appendf(nil, `{"resourceLogs":[{"resource":{"attributes":[%s]},"scopeLogs":[{"scope":{"name":%s,"attributes":[%s]},"logRecords":[{"timeUnixNano":"%d","severityText":%s,"body":{"stringValue":%s},"attributes":[%s]},{"body":{"kvlistValue":{"values":[%s]}}}]}]}]}`,
				kv, q(p.text), kv, time.Now().UnixNano(), q(p.text), q(p.text), kv, kv))
		}
	}}, way{"otlp spans", 1, func(list []plant) {
		for i, p := range list {
			kv := `{"key":"k","value":{"stringValue":` + q(p.text) + `}}`
			if p.name != "" {
				kv += `,{"key":` + q(p.name) + `,"value":{"stringValue":"v"}}`
			}
			s.Must("POST", "/v1/traces", jsonType, fmt.Appendf(nil, `{"resourceSpans":[{"resource":{"attributes":[%s]},"scopeSpans":[{"scope":{"name":%s},"spans":[{"traceId":"%032x","spanId":"%016x","name":%s,"traceState":%s,"startTimeUnixNano":"%d","endTimeUnixNano":"%d","attributes":[%s],"status":{"code":2,"message":%s},"events":[{"timeUnixNano":"%d","name":%s,"attributes":[%s]}],"links":[{"traceId":"%032x","spanId":"%016x","attributes":[%s]}]}]}]}]}`,
				kv, q(p.text), i+1, i+1, q(p.text), q(p.text), time.Now().UnixNano(), time.Now().UnixNano(), kv, q(p.text), time.Now().UnixNano(), q(p.text), kv, i+2, i+2, kv))
		}
	}}, way{"zipkin", 1, func(list []plant) {
		for i, p := range list {
			s.Must("POST", "/api/v2/spans", jsonType, fmt.Appendf(nil, `[{"traceId":"%016x","id":"%016x","name":%s,"timestamp":%d,"duration":7,"localEndpoint":{"serviceName":%s},"tags":{"k":%s},"annotations":[{"timestamp":%d,"value":%s}]}]`,
				i+1, i+1, q(p.text), time.Now().UnixMicro(), q(p.text), q(p.text), time.Now().UnixMicro(), q(p.text)))
		}
	}}, way{"gelf http", 1, func(list []plant) {
		for _, p := range list {
			s.Must("POST", "/gelf", jsonType, fmt.Appendf(nil, `{"version":"1.1","host":%s,"short_message":%s,"full_message":%s,"_k":%s,"_app":"planted"}`, q(p.text), q(p.text), q(p.text), q(p.text)))
		}
	}}, way{"journald", 1, func(list []plant) {
		var b bytes.Buffer
		for i, p := range list {
			fmt.Fprintf(&b, "__CURSOR=s=%d;i=1\n__REALTIME_TIMESTAMP=%d\nMESSAGE=%s\nAPP=planted\nK=%s\n_CMDLINE=%s\n\n", i, time.Now().UnixMicro(), p.text, p.text, p.text)
		}
		s.Must("POST", "/upload", map[string]string{"Content-Type": "application/vnd.fdo.journal"}, b.Bytes())
	}})
	return append(out, sockets(t, fluentd, beats, sys, gelf, docs)...)
}

// sockets are the protocols that have ports of their own.
func sockets(t *testing.T, fluentd, beats, sys, gelf string, docs func([]plant) []string) []way {
	q := func(s string) string { b, _ := json.Marshal(s); return string(b) }
	stream := func(network, addr string, messages [][]byte) {
		c, err := net.DialTimeout(network, addr, 10*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		for _, m := range messages {
			if _, err := c.Write(m); err != nil {
				t.Fatal(err)
			}
		}
	}
	message := func(app string, p plant) []byte {
		sd := strings.NewReplacer(`\`, `\\`, `"`, `\"`, `]`, `\]`).Replace(p.text)
		return fmt.Appendf(nil, `<134>1 %s h %s - - [x@1 k="%s"] %s`, time.Now().UTC().Format(time.RFC3339Nano), app, sd, p.text)
	}
	return []way{{"fluent", 1, func(list []plant) {
		host, p, _ := net.SplitHostPort(fluentd)
		n, _ := strconv.Atoi(p)
		logger, err := fluent.New(fluent.Config{FluentHost: host, FluentPort: n, RequestAck: true, WriteTimeout: 10 * time.Second, ReadTimeout: 20 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		defer logger.Close()
		for _, p := range list {
			m := map[string]any{"app": "planted", "log": p.text, "deep": map[string]any{"v": []string{p.text}}, "bin": []byte(p.text)}
			if p.name != "" {
				m[p.name] = "v"
			}
			if err := logger.Post("planted", m); err != nil {
				t.Fatal(err)
			}
		}
	}}, {"lumberjack", 1, func(list []plant) {
		cl, err := lumber.SyncDial(beats, lumber.CompressionLevel(3), lumber.Timeout(20*time.Second))
		if err != nil {
			t.Fatal(err)
		}
		defer cl.Close()
		var window []any
		for _, d := range docs(list) {
			window = append(window, json.RawMessage(d))
		}
		if _, err := cl.Send(window); err != nil {
			t.Fatal(err)
		}
	}}, {"syslog over TCP", 1, func(list []plant) {
		var all [][]byte
		for _, p := range list {
			m := message("planted-tcp", p)
			all = append(all, fmt.Appendf(nil, "%d %s", len(m), m))
		}
		stream("tcp", sys, all)
	}}, {"syslog over UDP", 1, func(list []plant) {
		var all [][]byte
		for _, p := range list {
			all = append(all, message("planted-udp", p))
		}
		stream("udp", sys, all)
	}}, {"GELF over TCP", 1, func(list []plant) {
		var all [][]byte
		for _, p := range list {
			all = append(all, fmt.Appendf(nil, `{"version":"1.1","host":"h","short_message":%s,"_k":%s,"_app":"planted-tcp"}`+"\x00", q(p.text), q(p.text)))
		}
		stream("tcp", gelf, all)
	}}}
}

// accessLogs sends what a sidecar streams, with plants where requests have text.
func accessLogs(t *testing.T, s *harness.Server) way {
	str := func(b []byte, n protowire.Number, v string) []byte {
		return protowire.AppendString(protowire.AppendTag(b, n, protowire.BytesType), v)
	}
	return way{"als", 1, func(list []plant) {
		var entries []byte
		for _, p := range list {
			request := []byte(nil)
			for _, field := range []protowire.Number{3, 5, 6, 7, 8, 9, 10} { // authority, path, user agent, referer, forwarded for, request id, original path
				request = str(request, field, p.text)
			}
			request = str(request, 13, string(str(str(nil, 1, "x-k"), 2, p.text)))
			entries = str(entries, 1, string(str(nil, 3, string(request))))
		}
		m := str(str(nil, 1, string(str(nil, 2, "planted"))), 2, string(entries))
		conn, ctx := dial(t, s)
		stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true}, "/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs", grpc.ForceCodec(bare{}))
		if err != nil {
			t.Fatal(err)
		}
		if err := stream.SendMsg(m); err != nil {
			t.Fatal(err)
		}
		stream.CloseSend()
		var answer []byte
		if err := stream.RecvMsg(&answer); err != nil {
			t.Fatal(err)
		}
	}}
}

// files has an agent read plants from files of a container's runtime, where a text
// may be split over two lines, and waits until the server has them.
func files(t *testing.T, s *harness.Server, spool string) way {
	return way{"agent", 2, func(list []plant) {
		dir := t.TempDir()
		var b bytes.Buffer
		for i, p := range list {
			at := time.Now().UTC().Format(time.RFC3339Nano)
			text := strings.ReplaceAll(p.text, "\n", " ")
			fmt.Fprintf(&b, "%s stdout F %s\n%s stdout P half-%d %s\n%s stdout F %s\n", at, text, at, i, text[:len(text)/2], at, text[len(text)/2:])
		}
		log := filepath.Join(dir, "planted.log")
		if err := os.WriteFile(log, b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		config := filepath.Join(dir, "agent.yaml")
		text := fmt.Sprintf("data: %q\nforward:\n  url: %s\n  token_file: %q\ninputs:\n  files:\n    - paths: [%q]\n      start: start\n      attributes: {app: planted-agent}\npolicy:\n  rules:\n    - id: people\n      redact: {detect: [email, pan]}\n",
			spool, s.Base, filepath.Join(s.Data, "admin.token"), log)
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(harness.Binary, "agent", "--config", config)
		said := new(harness.Log)
		cmd.Stderr = said
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		defer func() { cmd.Process.Kill(); cmd.Wait() }()
		for end := time.Now().Add(60 * time.Second); ; <-time.After(100 * time.Millisecond) {
			n := len(s.Ask(`{app="planted-agent"}`))
			if n >= 2*len(list) {
				break
			}
			if time.Now().After(end) {
				t.Fatalf("%d of %d records came through the agent: %s", n, 2*len(list), said)
			}
		}
		for _, p := range list {
			if strings.Contains(said.String(), p.core) {
				t.Errorf("%s: the agent says %q", p.what, p.core)
			}
		}
	}}
}

// TestSecretBodies: of what the API server says of a Secret nothing in it is kept,
// however often an object holds it.
func TestSecretBodies(t *testing.T) {
	t.Parallel()
	s := harness.Serve(t, harness.Init(t))
	enc := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	values := []string{enc("planted-1"), enc("planted 2 with more"), "planted-in-the-clear-3", enc(`{"auths":{"r.example.com":{"auth":"planted4"}}}`), enc("x5")}
	data := fmt.Sprintf(`"data":{"user":%q,"tls.crt":%q,".dockerconfigjson":%q,"n":%q},"stringData":{"conf":%q}`, values[0], values[1], values[3], values[4], values[2])
	applied, _ := json.Marshal(`{"apiVersion":"v1","kind":"Secret",` + data + `}`)
	object := `{"kind":"Secret","apiVersion":"v1","metadata":{"name":"db","annotations":{"kubectl.kubernetes.io/last-applied-configuration":` + string(applied) + `}},` + data + `,"type":"Opaque"}`
	event := func(i int, more string) string {
		return fmt.Sprintf(`{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"RequestResponse","auditID":"b-%d","stage":"ResponseComplete","verb":"create","user":{"username":"u"},"objectRef":{"resource":"secrets","namespace":"shop","name":"db","apiVersion":"v1"},"requestReceivedTimestamp":%q,"stageTimestamp":%q,%s}`, i, time.Now().UTC().Format(time.RFC3339Nano), time.Now().UTC().Format(time.RFC3339Nano), more)
	}
	list := `{"kind":"SecretList","apiVersion":"v1","items":[{"metadata":{"name":"db"},` + data + `}]}`
	events := []string{event(1, `"requestObject":`+object), event(2, `"responseObject":`+object), event(3, `"responseObject":`+list), event(4, `"requestObject":{`+data+`}`)}
	s.Must("POST", "/kubernetes/audit", nil, []byte(`{"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":[`+strings.Join(events, ",")+`]}`))
	message, _ := json.Marshal("applied " + object)
	s.Bulk(append(events, object, `{"message":`+string(message)+`}`)...)
	found := s.Ask(`{}`)
	if len(found) < 10 {
		t.Fatalf("%d records", len(found))
	}
	text, _ := exported(t, found)
	for _, v := range values {
		if i := strings.Index(text, v); i >= 0 && len(v) > 4 {
			t.Errorf("%q is there: …%s…", v, text[max(0, i-200):min(len(text), i+80)])
		}
	}
	if !strings.Contains(text, "db") {
		t.Error("not even the name is there")
	}
}
