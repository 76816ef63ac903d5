package e2e

import (
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/meshtrail/meshtrail/e2e/harness"
	"github.com/rogpeppe/go-internal/testscript"
)

// TestScripts runs the scenarios of testdata/script. Beside testscript's own
// commands they know:
//
//	serve DIR [FLAG…]       start a server; $URL and $TOKEN name it
//	stop | kill9            end it cleanly, or as power loss would
//	post PATH FILE [TYPE]   POST a file with the admin token; stdout is the answer
//	get PATH                GET with the admin token
//	send NETWORK ADDR FILE  dial and write a file
//	as FILE                 from now on post, get and await show the token of a file
//	await PATH REGEXP       GET until the answer matches
//	flip GLOB OFFSET        change one byte; a negative offset counts from the end
//	absent DIR TEXT         no file below DIR contains TEXT
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			e.Setenv("PATH", filepath.Dir(harness.Binary)+string(os.PathListSeparator)+e.Getenv("PATH"))
			e.Setenv("HOME", e.WorkDir)
			e.Values[serverKey{}] = new(*harness.Server) // scripts run in parallel: each has its own
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"serve": func(ts *testscript.TestScript, _ bool, args []string) {
				s := harness.Serve(t, ts.MkAbs(args[0]), args[1:]...)
				*ts.Value(serverKey{}).(**harness.Server) = s
				ts.Defer(s.Kill)
				ts.Setenv("URL", s.Base)
				ts.Setenv("TOKEN", s.Token)
			},
			"stop":  func(ts *testscript.TestScript, _ bool, _ []string) { serverOf(ts).Stop() },
			"kill9": func(ts *testscript.TestScript, _ bool, _ []string) { serverOf(ts).Kill() },
			"post": func(ts *testscript.TestScript, neg bool, args []string) {
				kind := "application/x-ndjson"
				if len(args) > 2 {
					kind = args[2]
				}
				current := serverOf(ts)
				code, body, err := current.Request("POST", args[0], map[string]string{"Content-Type": kind}, []byte(ts.ReadFile(args[1])))
				ts.Check(err)
				ts.Stdout().Write(body)
				if neg == (code/100 == 2) {
					ts.Fatalf("POST %s answered %d: %.500s\n%s", args[0], code, body, current.Log)
				}
			},
			"get": func(ts *testscript.TestScript, neg bool, args []string) {
				code, body, err := serverOf(ts).Request("GET", args[0], nil, nil)
				ts.Check(err)
				ts.Stdout().Write(body)
				if neg == (code/100 == 2) {
					ts.Fatalf("GET %s answered %d: %.500s", args[0], code, body)
				}
			},
			"send": func(ts *testscript.TestScript, _ bool, args []string) {
				c, err := net.DialTimeout(args[0], args[1], 5*time.Second)
				ts.Check(err)
				defer c.Close()
				_, err = c.Write([]byte(ts.ReadFile(args[2])))
				ts.Check(err)
			},
			"as": func(ts *testscript.TestScript, _ bool, args []string) {
				serverOf(ts).Token = strings.TrimSpace(ts.ReadFile(args[0]))
			},
			"flip":   flip,
			"await":  await,
			"absent": absent,
		},
	})
}

// serverKey names the script's server among its values.
type serverKey struct{}

// serverOf returns the server that the script started last.
func serverOf(ts *testscript.TestScript) *harness.Server {
	return *ts.Value(serverKey{}).(**harness.Server)
}

func flip(ts *testscript.TestScript, _ bool, args []string) {
	names, err := filepath.Glob(ts.MkAbs(args[0]))
	ts.Check(err)
	if len(names) == 0 {
		ts.Fatalf("no file matches %s", args[0])
	}
	b, err := os.ReadFile(names[0])
	ts.Check(err)
	at, err := strconv.Atoi(args[1])
	ts.Check(err)
	if at < 0 {
		at += len(b)
	}
	b[at] ^= 1
	ts.Check(os.WriteFile(names[0], b, 0o600))
	ts.Setenv("FLIPPED", filepath.Base(names[0]))
}

func absent(ts *testscript.TestScript, _ bool, args []string) {
	files := 0
	ts.Check(filepath.WalkDir(ts.MkAbs(args[0]), func(p string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files++
		b, err := os.ReadFile(p)
		if err == nil && strings.Contains(string(b), args[1]) {
			ts.Fatalf("%s contains %q", p, args[1])
		}
		return err
	}))
	if files == 0 {
		ts.Fatalf("%s is empty", args[0])
	}
}

// await asks a path again until the answer matches, as it does what the server
// does by itself: at most a minute.
func await(ts *testscript.TestScript, _ bool, args []string) {
	re, err := regexp.Compile(args[1])
	ts.Check(err)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for range 3000 {
		_, body, err := serverOf(ts).Request("GET", args[0], nil, nil)
		ts.Check(err)
		if re.Match(body) {
			return
		}
		<-tick.C
	}
	ts.Fatalf("%s never answered %s", args[0], args[1])
}
