package peers

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/meshtrail/meshtrail/e2e/harness"
)

// Syslog has no acknowledgement: what a program had written to its connection when
// the server died is gone, and nobody knows. So these tests count two things: that
// nothing is missing or there twice while the server lives, which is required, and
// what two deaths cost, which is told and bounded.

// A jug is a scene in which the program speaks to the server without a wire
// between them, which UDP has not, and which would hold records of its own.
type jug struct {
	*scene
	ports map[string]string
}

// port is the host:port of something in the scene.
func (j *jug) port(name string) string {
	if j.ports[name] == "" {
		j.ports[name] = freeAddr(j.t)
	}
	return j.ports[name]
}

// fill fills in ${NAME} for the number of a port, and what expand does.
func (j *jug) fill(text string) string {
	for name, addr := range j.ports {
		_, port, _ := net.SplitHostPort(addr)
		text = strings.ReplaceAll(text, "${"+name+"}", port)
	}
	return j.expand(text)
}

// A pourer is a program that writes syslog.
type pourer struct {
	client, protocol, binary string
	version                  []string
	transport                string // of the listener: tcp, udp or tls
	setup                    func(j *jug) []string
	// drive makes the program write n records; without it they are lines of the
	// file that it follows.
	drive func(j *jug, n int) <-chan struct{}
	kills int
	stops bool // the server is stopped well, not killed
	// lossy is set for a transport that may lose without a death: UDP.
	lossy bool
}

// pour lets p write n records, kills the server p.kills times meanwhile, and
// counts.
func pour(t *testing.T, p pourer, n int) {
	path := peer(t, p.binary)
	sc := &jug{&scene{t: t, dir: t.TempDir(), data: harness.Init(t), wires: map[string]*wire{}}, map[string]string{}}
	sc.file = sc.write("records.log", "")
	config := fmt.Sprintf("receivers:\n  syslog:\n    %s: {listen: %q", p.transport, sc.port("syslog"))
	if p.transport == "tls" {
		cert, key := certificate(sc.scene)
		config += fmt.Sprintf(", tls_cert: %q, tls_key: %q", cert, key)
	}
	config += "}\n"
	if err := os.WriteFile(filepath.Join(sc.data, "meshtrail.yaml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	sc.serve()
	prog := sc.run(path, p.setup(sc), nil)
	sc.shipping = prog
	drive := p.drive
	if drive == nil {
		drive = func(j *jug, n int) <-chan struct{} { return j.lines(n) }
	}
	written := drive(sc, n)
	const patience = 30 * time.Second
	for i := range p.kills {
		least := n * (i + 1) / 4
		if got := sc.await(least, n, patience); got.seen < least {
			t.Fatalf("only %d records came; the program said:\n%.4000s\nthe server:\n%.3000s", got.seen, prog.log.String(), sc.s.Log)
		}
		if p.stops {
			sc.s.Stop()
		}
		sc.kill() // kills nobody twice
		sc.serve()
	}
	<-written
	got := sc.await(n, n, 8*time.Second)
	t.Logf("| %s | %s | %s | %d | %d | %d | %d | %d |", p.client, version(path, p.version), p.protocol, n, p.kills, got.missing, got.repeated, got.unordered)
	switch {
	case p.kills == 0 && !p.lossy && (got.missing > 0 || got.repeated > 0):
		t.Errorf("missing %d, repeated %d, and nobody died; the program said:\n%.4000s\nthe server:\n%.3000s", got.missing, got.repeated, prog.log.String(), sc.s.Log)
	case got.missing > n/10:
		t.Errorf("missing %d of %d (%s …); the program said:\n%.4000s\nthe server:\n%.3000s", got.missing, n, strings.Join(got.sample, ", "), tail(prog.log.String(), 4000), sc.s.Log)
	case got.dead > 0:
		t.Errorf("%d records were refused", got.dead)
	}
	sc.s.Stop()
	harness.Run(t, 0, "verify", sc.data)
}

// rsyslog follows the file and forwards it as its action says.
func rsyslog(action string) pourer {
	return pourer{
		client: "rsyslog", binary: "rsyslogd", version: []string{"-v"}, transport: "tcp",
		setup: func(sc *jug) []string {
			conf := sc.write("rsyslog.conf", sc.fill(`global(workDirectory="${DIR}" defaultNetstreamDriverCAFile="${DIR}/cert.pem")
module(load="imfile" mode="inotify")
input(type="imfile" file="${FILE}" tag="peers" ruleset="out")
ruleset(name="out" queue.type="LinkedList") {
  action(type="omfwd" target="127.0.0.1" port="${syslog}" action.resumeRetryCount="-1" action.resumeInterval="1" queue.type="LinkedList" `+action+`)
}
`))
			return []string{"-n", "-f", conf, "-i", filepath.Join(sc.dir, "pid")}
		},
	}
}

func TestRsyslog(t *testing.T) {
	forms := map[string]string{
		"TCP, lines, RFC 3164":           `protocol="tcp" template="RSYSLOG_TraditionalForwardFormat"`,
		"TCP, lines, ForwardFormat":      `protocol="tcp" template="RSYSLOG_ForwardFormat"`,
		"TCP, octet-counted, RFC 5424":   `protocol="tcp" template="RSYSLOG_SyslogProtocol23Format" TCP_Framing="octet-counted"`,
		"TCP, resend last, RFC 5424":     `protocol="tcp" template="RSYSLOG_SyslogProtocol23Format" TCP_Framing="octet-counted" ResendLastMSGOnReconnect="on"`,
		"UDP, RFC 5424 (no transaction)": `protocol="udp" template="RSYSLOG_SyslogProtocol23Format"`,
	}
	for name, action := range forms {
		t.Run(name, func(t *testing.T) {
			p := rsyslog(action)
			p.protocol, p.kills = "syslog "+name, 2
			if strings.HasPrefix(name, "UDP") {
				p.transport, p.kills, p.lossy = "udp", 0, true
			}
			pour(t, p, shipRecords)
		})
	}
}

// TestRsyslogTLS: RFC 5425, with OpenSSL at the other end.
func TestRsyslogTLS(t *testing.T) {
	p := rsyslog(`protocol="tcp" template="RSYSLOG_SyslogProtocol23Format" TCP_Framing="octet-counted" StreamDriver="ossl" StreamDriverMode="1" StreamDriverAuthMode="anon"`)
	p.protocol, p.transport = "syslog TLS", "tls"
	pour(t, p, shipRecords)
}

// certificate writes a certificate for 127.0.0.1, signed by itself, and its key.
func certificate(sc *scene) (cert, key string) {
	sc.t.Helper()
	priv, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		sc.t.Fatal(err)
	}
	x := x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, &x, &x, &priv.PublicKey, priv)
	if err != nil {
		sc.t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(priv)
	if err != nil {
		sc.t.Fatal(err)
	}
	text := func(kind string, b []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b}))
	}
	return sc.write("cert.pem", text("CERTIFICATE", der)), sc.write("key.pem", text("PRIVATE KEY", raw))
}

// TestRsyslogAlive: without a death nothing is missing and nothing twice.
func TestRsyslogAlive(t *testing.T) {
	p := rsyslog(`protocol="tcp" template="RSYSLOG_SyslogProtocol23Format" TCP_Framing="octet-counted"`)
	p.protocol = "syslog TCP"
	pour(t, p, shipRecords)
}

// TestRsyslogRestarts: what two regular restarts of the server cost.
func TestRsyslogRestarts(t *testing.T) {
	p := rsyslog(`protocol="tcp" template="RSYSLOG_SyslogProtocol23Format" TCP_Framing="octet-counted"`)
	p.protocol, p.kills, p.stops = "syslog TCP, regular restarts", 2, true
	pour(t, p, shipRecords)
}

func syslogNG(destination string) pourer {
	return pourer{
		client: "syslog-ng", binary: "syslog-ng", transport: "tcp",
		setup: func(sc *jug) []string {
			conf := sc.write("syslog-ng.conf", sc.fill(`@version: 3.38
options { keep-hostname(yes); use-dns(no); time-reopen(1); };
source s { file("${FILE}" follow-freq(0.1) flags(no-parse) program-override("peers")); };
destination d { `+destination+` };
log { source(s); destination(d); flags(flow-control); };
`))
			in := func(name string) string { return filepath.Join(sc.dir, name) }
			return []string{"-F", "-f", conf, "-p", in("pid"), "-c", in("ctl"), "-R", in("persist")}
		},
	}
}

func TestSyslogNG(t *testing.T) {
	for name, d := range map[string]string{
		"syslog() over TCP":  `syslog("127.0.0.1" port(${syslog}));`,
		"network() over TCP": `network("127.0.0.1" port(${syslog}));`,
	} {
		t.Run(name, func(t *testing.T) {
			p := syslogNG(d)
			p.protocol, p.kills = "syslog, "+name, 2
			pour(t, p, shipRecords)
		})
		t.Run(name+", alive", func(t *testing.T) {
			p := syslogNG(d)
			p.protocol = "syslog, " + name
			pour(t, p, shipRecords)
		})
	}
}

// TestLogger: util-linux's logger has no queue and ends with its connection.
func TestLogger(t *testing.T) {
	for name, args := range map[string][]string{
		"TCP":                {"-T"},
		"TCP, octet-counted": {"-T", "--octet-count", "--rfc5424"},
	} {
		t.Run(name, func(t *testing.T) {
			p := pourer{
				client: "logger", binary: "logger", version: []string{"-V"}, protocol: "syslog, " + name, transport: "tcp",
				setup: func(sc *jug) []string {
					os.Remove(sc.file) // logger reads a file to its end, and a pipe as long as it is written
					if err := syscall.Mkfifo(sc.file, 0o600); err != nil {
						t.Fatal(err)
					}
					return append(args, "-n", "127.0.0.1", "-P", sc.fill("${syslog}"), "-t", "peers", "-f", sc.file)
				},
			}
			pour(t, p, shipRecords)
		})
	}
}

// visits asks a web server on the port for one page a record.
func visits(port string) func(sc *jug, n int) <-chan struct{} {
	return func(sc *jug, n int) <-chan struct{} {
		addr := sc.port(port)
		done := make(chan struct{})
		for i := 0; ; i++ {
			c, err := net.DialTimeout("tcp", addr, time.Second)
			if err == nil {
				c.Close()
				break
			}
			if i == 100 {
				sc.t.Fatal("the web server does not listen: ", err)
			}
			<-time.After(50 * time.Millisecond)
		}
		go func() {
			defer close(done)
			tick := time.NewTicker(10 * time.Millisecond)
			defer tick.Stop()
			var wg sync.WaitGroup
			next := make(chan int)
			for range 4 {
				wg.Go(func() {
					for i := range next {
						resp, err := http.Get(fmt.Sprintf("http://%s/peer-%06d-", addr, i))
						if err != nil {
							sc.t.Error(err)
							continue
						}
						resp.Body.Close()
					}
				})
			}
			for i := range n {
				if i%20 == 0 {
					<-tick.C
				}
				next <- i
			}
			close(next)
			wg.Wait()
		}()
		return done
	}
}

func TestNginxSyslog(t *testing.T) {
	pour(t, pourer{
		client: "nginx", protocol: "syslog over UDP", binary: "nginx", version: []string{"-v"}, transport: "udp",
		setup: func(sc *jug) []string {
			conf := sc.fill(`daemon off; master_process off; pid ${DIR}/pid; error_log ${DIR}/error.log;
events {}
http {
  log_format j escape=json '{"time":"$time_iso8601","method":"$request_method","path":"$uri","status":$status}';
  client_body_temp_path ${DIR}/b; proxy_temp_path ${DIR}/p; fastcgi_temp_path ${DIR}/f; uwsgi_temp_path ${DIR}/u; scgi_temp_path ${DIR}/s;
  access_log syslog:server=127.0.0.1:${syslog},facility=local7,tag=nginx,severity=info j;
`) + "  server { listen " + sc.port("web") + "; location / { return 200 ok; } }\n}\n"
			return []string{"-c", sc.write("nginx.conf", conf)}
		},
		drive: visits("web"), lossy: true,
	}, shipRecords)
}

func TestHAProxySyslog(t *testing.T) {
	haproxy := func(head, where string) pourer {
		return pourer{
			client: "HAProxy", binary: "haproxy", version: []string{"-v"}, transport: "tcp",
			setup: func(sc *jug) []string {
				conf := sc.fill(head+"\nglobal\n  log "+where+` local0
  log-send-hostname web-1
defaults
  mode http
  option httplog
  log global
  timeout client 5s
  timeout server 5s
  timeout connect 5s
frontend f
`) + "  bind " + sc.port("web") + "\n  http-request return status 200 content-type text/plain string ok if { path_beg / }\n"
				return []string{"-db", "-f", sc.write("haproxy.cfg", conf)}
			},
			drive: visits("web")}
	}
	ring := `ring r
  format rfc5424
  maxlen 8192
  size 4194304
  timeout connect 1s
  timeout server 10s
  server s 127.0.0.1:${syslog} log-proto octet-count`
	t.Run("ring over TCP", func(t *testing.T) {
		p := haproxy(ring, "ring@r")
		p.protocol, p.kills = "syslog, ring over TCP", 2
		pour(t, p, shipRecords)
	})
	t.Run("UDP", func(t *testing.T) {
		p := haproxy("", "127.0.0.1:${syslog}")
		p.protocol, p.transport, p.lossy = "syslog over UDP", "udp", true
		pour(t, p, shipRecords)
	})
}
