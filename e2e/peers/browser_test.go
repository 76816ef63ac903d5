package peers

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A browser is a page of Chromium, told what to do by its DevTools protocol over a
// pipe. One goroutine uses it.
type browser struct {
	t       *testing.T
	to      *os.File
	replies chan reply
	session string
	calls   int
	// complaints are what the page's console, and the answers that it got, say of
	// errors.
	complaints []string
}

type reply struct {
	ID     int             `json:"id"`
	Method string          `json:"method"`
	Result json.RawMessage `json:"result"`
	Params json.RawMessage `json:"params"`
	Error  *struct {
		Message string `json:"message"`
	} `json:"error"`
}

// browse starts a browser, or skips the test where there is none.
func browse(t *testing.T) *browser {
	t.Helper()
	path := peer(t, "chromium")
	toRead, to, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	from, fromWrite, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	folder, err := os.MkdirTemp("", "browser")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), path, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
		"--window-size=1500,1100", "--remote-debugging-pipe", "--user-data-dir="+folder, "about:blank")
	cmd.ExtraFiles = []*os.File{toRead, fromWrite} // its descriptors 3 and 4
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	toRead.Close()
	fromWrite.Close()
	b := &browser{t: t, to: to, replies: make(chan reply, 1024)}
	go func() {
		defer close(b.replies)
		r := bufio.NewReaderSize(from, 1<<20)
		for {
			text, err := r.ReadBytes(0)
			if err != nil {
				return
			}
			var m reply
			if json.Unmarshal(text[:len(text)-1], &m) == nil {
				b.replies <- m
			}
		}
	}()
	t.Cleanup(func() {
		fmt.Fprint(to, `{"id":1000000,"method":"Browser.close"}`+"\x00")
		for range b.replies { // until it is gone
		}
		cmd.Wait()
		to.Close()
		from.Close()
		// Its children may write for a moment more.
		for end := time.Now().Add(5 * time.Second); os.RemoveAll(folder) != nil && time.Now().Before(end); <-time.After(50 * time.Millisecond) {
		}
	})
	var target struct{ TargetID string }
	b.call("Target.createTarget", &target, "url", "about:blank")
	var attached struct{ SessionID string }
	b.call("Target.attachToTarget", &attached, "targetId", target.TargetID, "flatten", true)
	b.session = attached.SessionID
	for _, what := range []string{"Page", "Runtime", "Network", "Log"} {
		b.call(what+".enable", nil)
	}
	return b
}

// call calls a method with pairs of parameters, and reads its result.
func (b *browser) call(method string, into any, pairs ...any) {
	b.t.Helper()
	params := map[string]any{}
	for i := 0; i < len(pairs); i += 2 {
		params[pairs[i].(string)] = pairs[i+1]
	}
	b.calls++
	id := b.calls
	message := map[string]any{"id": id, "method": method, "params": params}
	if b.session != "" {
		message["sessionId"] = b.session
	}
	text, err := json.Marshal(message)
	if err != nil {
		b.t.Fatal(err)
	}
	if _, err := b.to.Write(append(text, 0)); err != nil {
		b.t.Fatal(err)
	}
	late := time.After(time.Minute)
	for {
		select {
		case m, open := <-b.replies:
			switch {
			case !open:
				b.t.Fatalf("%s: the browser is gone", method)
			case m.Method != "":
				b.happened(m)
			case m.ID != id:
			case m.Error != nil:
				b.t.Fatalf("%s: %s", method, m.Error.Message)
			default:
				if into != nil {
					if err := json.Unmarshal(m.Result, into); err != nil {
						b.t.Fatalf("%s: %v", method, err)
					}
				}
				return
			}
		case <-late:
			b.t.Fatalf("%s: no answer", method)
		}
	}
}

// happened notes what an event says of errors.
func (b *browser) happened(m reply) {
	var p struct {
		Entry struct{ Level, Text, URL string }
		Type  string
		Args  []struct{ Value, Description any }

		ExceptionDetails struct {
			Text      string
			Exception struct{ Description string }
		}
	}
	json.Unmarshal(m.Params, &p)
	switch {
	case m.Method == "Runtime.exceptionThrown":
		b.complaints = append(b.complaints, p.ExceptionDetails.Text+" "+p.ExceptionDetails.Exception.Description)
	case m.Method == "Runtime.consoleAPICalled" && p.Type == "error":
		b.complaints = append(b.complaints, fmt.Sprint(p.Args))
	case m.Method == "Log.entryAdded" && p.Entry.Level == "error":
		b.complaints = append(b.complaints, p.Entry.Text+" "+p.Entry.URL)
	}
}

// eval returns what an expression of JavaScript is, as text.
func (b *browser) eval(expression string) string {
	b.t.Helper()
	var out struct {
		Result struct {
			Value       any
			Description string
		}
		ExceptionDetails json.RawMessage
	}
	b.call("Runtime.evaluate", &out, "expression", expression, "returnByValue", true, "awaitPromise", true)
	if out.ExceptionDetails != nil {
		b.t.Fatalf("%s: %s", expression, out.Result.Description)
	}
	return fmt.Sprint(out.Result.Value)
}

// sees waits until the page shows every one of want, and returns all its text.
func (b *browser) sees(want ...string) string {
	b.t.Helper()
	var text, missing string
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); <-time.After(50 * time.Millisecond) {
		text, missing = b.eval("document.body ? document.body.innerText : ''"), ""
		for _, w := range want {
			if !strings.Contains(text, w) {
				missing = w
				break
			}
		}
		if missing == "" {
			return text
		}
	}
	b.shot("missing")
	b.t.Errorf("the page has no %q:\n%s\ncomplaints: %q", missing, tail(text, 3000), b.complaints)
	return text
}

// is waits until an expression of JavaScript is what it shall be.
func (b *browser) is(expression, want string) {
	b.t.Helper()
	var got string
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); <-time.After(50 * time.Millisecond) {
		if got = b.eval(expression); got == want {
			return
		}
	}
	b.shot("missing")
	b.t.Errorf("%s is %q, want %q", expression, got, want)
}

// open goes to an address and waits until its page shows every one of want.
func (b *browser) open(address string, want ...string) string {
	b.t.Helper()
	b.call("Page.navigate", nil, "url", address)
	return b.sees(want...)
}

// shot keeps a picture of the page in the folder that $PEERS_SHOTS names, if it does.
func (b *browser) shot(name string) {
	b.t.Helper()
	dir := os.Getenv("PEERS_SHOTS")
	if dir == "" {
		return
	}
	var picture struct{ Data string }
	b.call("Page.captureScreenshot", &picture, "format", "png")
	data, err := base64.StdEncoding.DecodeString(picture.Data)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, strings.ReplaceAll(b.t.Name(), "/", "-")+"-"+name+".png"), data, 0o600)
	}
	if err != nil {
		b.t.Error(err)
	}
}
