package filetail

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/meshtrail/meshtrail/internal/vfs/memfs"
)

// traces are stack traces as the runtimes write them, each one record.
var traces = map[string]string{
	"java": `2026-11-21 10:00:00.000 ERROR 1 --- [main] c.e.shop.Cart : Could not check out
java.lang.IllegalStateException: cart is gone
	at com.example.shop.Cart.checkout(Cart.java:42)
	at java.base/java.lang.Thread.run(Thread.java:1583)
	Suppressed: java.io.IOException: closed
		at com.example.shop.Cart.close(Cart.java:99)
Caused by: java.sql.SQLException: no connection
	at com.example.shop.Pool.take(Pool.java:7)
	... 12 more
`,
	"java, by itself": `Exception in thread "main" java.lang.NullPointerException
	at com.example.Main.main(Main.java:3)
`,
	"python": `Traceback (most recent call last):
  File "/app/a.py", line 3, in <module>
    main()
    ^^^^^^
KeyError: 'cart'

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "/app/a.py", line 9, in <module>
    raise shop.errors.Gone("cart")
shop.errors.Gone: cart
`,
	"python, logged": `ERROR:shop:could not check out
Traceback (most recent call last):
  File "/app/a.py", line 3, in main
    check()
ValueError
`,
	"go": `panic: runtime error: invalid memory address or nil pointer dereference
[signal SIGSEGV: segmentation violation code=0x1 addr=0x0 pc=0x482f56]

goroutine 1 [running]:
main.run(0xc000012345, {0x1, 0x2})
	/app/main.go:12 +0x1d
created by main.main in goroutine 7
	/app/main.go:5 +0x25
exit status 2
`,
	"go, served": `2026/11/21 10:00:00 http: panic serving 10.0.0.1:443: boom
goroutine 7 [running]:
net/http.(*conn).serve.func1()
	/usr/local/go/src/net/http/server.go:1868 +0xb9
panic({0x6b3f20?, 0xc0000140a0?})
	/usr/local/go/src/runtime/panic.go:920 +0x270
`,
	"node": `TypeError: Cannot read properties of undefined (reading 'id')
    at checkout (/app/cart.js:12:7)
    at async Promise.all (index 0)
    at node:internal/process/task_queues:95:5 {
  code: 'GONE'
}
`,
	".NET": `Unhandled exception. System.InvalidOperationException: gone
 ---> System.IO.IOException: closed
   at Shop.Pool.Take() in /app/Pool.cs:line 7
   --- End of inner exception stack trace ---
   at Shop.Cart.Checkout(String id) in /app/Cart.cs:line 42
`,
	"ruby": "/app/cart.rb:12:in `checkout': gone (RuntimeError)\n\tfrom /app/cart.rb:20:in `main'\n\tfrom /app/cart.rb:30:in `<main>'\n",
	"php": `PHP Fatal error:  Uncaught RuntimeException: gone in /app/cart.php:3
Stack trace:
#0 /app/cart.php(9): checkout()
#1 {main}
  thrown in /app/cart.php on line 3
`,
	"rust": `thread 'main' panicked at src/main.rs:2:5:
cart is gone
stack backtrace:
   0: rust_begin_unwind
             at /rustc/07dca48/library/std/src/panicking.rs:645:5
   1: shop::main
note: run with ` + "`RUST_BACKTRACE=full`" + ` for a verbose backtrace.
`,
}

// ofCRI puts CRI's wrapper around each line.
func ofCRI(text, stream string) string {
	var b strings.Builder
	for _, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		fmt.Fprintf(&b, "1970-01-01T00:00:00.000000005Z %s F %s\n", stream, line)
	}
	return b.String()
}

func payloads(p *parser) (out []string) {
	for _, r := range p.set.Raws {
		out = append(out, string(r.Payload))
	}
	return out
}

func TestStackTraces(t *testing.T) {
	const before, after = "2026-11-21 INFO begin", "2026-11-21 INFO end"
	for name, text := range traces {
		want := []string{before, strings.TrimSuffix(text, "\n"), after}
		for kind, in := range map[string]string{
			"plain":  before + "\n" + text + after + "\n",
			"cri":    ofCRI(before+"\n"+text+after, "stderr"),
			"return": strings.ReplaceAll(before+"\n"+text+after+"\n", "\n", "\r\n"),
		} {
			p := newParser(Auto, 10_000)
			if n := p.parse([]byte(in), false); n != len(in) || !slices.Equal(payloads(p), want) {
				t.Errorf("%s, %s: took %d of %d\n got %q\nwant %q", name, kind, n, len(in), payloads(p), want)
			}
			p.set.Release()
		}
		// The two streams of a container, a line of the one between two of the other.
		lines := strings.SplitAfter(ofCRI(text, "stderr"), "\n")
		p := newParser(Auto, 10_000)
		p.parse([]byte(strings.Join(lines, ofCRI(before, "stdout"))), true)
		// A first line that any program might write waits for no other stream.
		_, expected := beginning([]byte(text[:strings.IndexByte(text, '\n')]))
		if got := payloads(p); expected && !slices.Contains(got, want[1]) || len(strings.Join(got, "\n")) < len(strings.TrimSuffix(text, "\n")) {
			t.Errorf("%s, between: %q", name, got)
		}
		p.set.Release()
	}
}

// TestOnlyWhatIsProvedIsJoined: lines that look a little like stack traces.
func TestOnlyWhatIsProvedIsJoined(t *testing.T) {
	for _, text := range []string{
		"INFO a\n  indented\n\tand so\n",
		"INFO connected\nMyError: x\nMyError: y\n",
		"ERROR failed\njava.io.IOException: x\nINFO go on\n",
		"INFO a\nTraceback (most recent call last):\n",
		"INFO a\nat last\n at noon\n",
		"INFO a\n#0 is first\n#1\n",
		"INFO a\ngoroutine 1 [running]:\n",
		"{\"a\":1}\n{\"b\":2}\n",
		"INFO a\n... 3 more\n",
	} {
		p := newParser(Auto, 1000)
		p.parse([]byte(text), true)
		if got, want := payloads(p), strings.Split(strings.TrimSuffix(text, "\n"), "\n"); !slices.Equal(got, want) {
			t.Errorf("%q became %q", text, got)
		}
		p.set.Release()
	}
}

func TestJoinsAreBounded(t *testing.T) {
	head, frame := "java.lang.Error: x\n", "\tat a.b.C.d(C.java:1)\n"
	in := head + strings.Repeat(frame, 3*maxGroupLines)
	p := newParser(Auto, 1<<20)
	defer p.set.Release()
	p.parse([]byte(in), true)
	if got := payloads(p); len(got) < 3 || strings.Join(got, "\n")+"\n" != in {
		t.Errorf("%d records", len(got))
	}
	p = newParser(Auto, 100)
	defer p.set.Release()
	p.parse([]byte(in), true)
	got := payloads(p)
	for _, s := range got {
		if len(s) > 100 {
			t.Fatalf("a record of %d bytes", len(s))
		}
	}
	if strings.Join(got, "\n")+"\n" != in {
		t.Errorf("bytes are lost in %d records", len(got))
	}
}

func TestOffAndStart(t *testing.T) {
	in := "2026 a\nb\n\nc\n2027 d\n"
	p := newParser(Auto, 1000)
	p.join = joiner{start: regexp.MustCompile(`^\d{4} `)}
	defer p.set.Release()
	if n := p.parse([]byte(in), false); n != len("2026 a\nb\n\nc\n") || !slices.Equal(payloads(p), []string{"2026 a\nb\n\nc"}) {
		t.Errorf("start: took %d: %q", n, payloads(p))
	}
	off := newParser(Auto, 1000)
	off.join = joiner{off: true}
	defer off.set.Release()
	if n := off.parse([]byte(traces["ruby"]), false); n != len(traces["ruby"]) || len(off.set.Raws) != 3 {
		t.Errorf("off: took %d: %q", n, payloads(off))
	}
	for _, c := range []Config{{Multiline: "yes"}, {Multiline: "off", MultilineStart: "a"}, {MultilineStart: "("}} {
		c.Paths = []string{"/a"}
		if c.Validate() == nil {
			t.Errorf("%+v is taken", c)
		}
	}
}

// TestStackTracesThroughRotationAndRestart writes all traces, stops and starts the
// tailer within each of them, rotates the file behind each, and wants every one once
// and whole.
func TestStackTracesThroughRotationAndRestart(t *testing.T) {
	dir, fsys, o := t.TempDir(), memfs.New(), newOracle()
	cfg := quick(dir)
	cfg.Flush, cfg.MultilineWait, cfg.CloseAfter = time.Hour, time.Hour, time.Minute
	path := filepath.Join(dir, "a.log")
	var lines []string
	_, stop := start(t, cfg, fsys, o)
	i := 0
	for name, text := range traces {
		end := fmt.Sprintf("INFO end of %s", name)
		at := strings.IndexByte(text, '\n') + 1
		if name == "ruby" || name == "go, served" { // whose first line is an ordinary one
			at = strings.IndexByte(text[at:], '\n') + 1 + at
		}
		if strings.HasPrefix(name, "java") || name == "python, logged" {
			at = strings.Index(text, "\tat ") + 9
			if at < 9 {
				at = strings.Index(text, "    check") + 4
			}
		}
		write(t, path, text[:at])
		if i%2 == 0 {
			stop()
			_, stop = start(t, cfg, fsys, o)
		}
		write(t, path, text[at:]+end+"\n")
		lines = append(lines, strings.TrimSuffix(text, "\n"), end)
		eventually(t, "lines of "+name, func() bool { return len(o.got()) >= len(lines) }, func() { t.Logf("%q", o.got()) })
		if err := os.Rename(path, fmt.Sprintf("%s.%d", path, i)); err != nil {
			t.Fatal(err)
		}
		i++
	}
	stop()
	if got := o.got(); !slices.Equal(got, lines) {
		t.Errorf("got %q\nwant %q", got, lines)
	}
}
