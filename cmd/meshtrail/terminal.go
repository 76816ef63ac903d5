package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/meshtrail/meshtrail/internal/fault"
)

// terminal is where a verb reads and writes.
type terminal struct {
	in             io.Reader
	out, err       io.Writer
	outTTY, errTTY bool // people look at it
}

func newTerminal(in io.Reader, out, err io.Writer) *terminal {
	return &terminal{in: in, out: out, err: err, outTTY: isTerminal(out), errTTY: isTerminal(err)}
}

// isTerminal reports whether w is a character device: what is written there may
// be interpreted, not only stored.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	st, err := f.Stat()
	return err == nil && st.Mode()&os.ModeCharDevice != 0
}

// colours decides whether to colour. auto is for terminals only, and not where
// NO_COLOR (no-color.org) is set or the terminal is dumb.
func (t *terminal) colours(when string) (bool, error) {
	switch when {
	case "always":
		return true, nil
	case "never":
		return false, nil
	case "", "auto":
		return t.outTTY && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb", nil
	}
	return false, &exitError{exitUsage, fault.WithHint(fault.Errorf(fault.Invalid, "--color %q is unknown", when), "use auto, always or never")}
}

// A meter says on standard error how far long work is. It says nothing unless
// people look at it there and the data goes elsewhere.
type meter struct {
	w     io.Writer // nil: silent
	what  string
	begun time.Time
	last  time.Time
	shown bool
	now   func() time.Time
}

// Nothing is said of work that ends soon, and not more often than people read.
const (
	progressAfter = time.Second
	progressEvery = 200 * time.Millisecond
)

func (t *terminal) meter(what string) *meter {
	p := &meter{what: what, now: time.Now}
	if t.errTTY && !t.outTTY {
		p.w = t.err
	}
	p.begun = p.now()
	return p
}

// at tells how many records there are so far.
func (p *meter) at(n int) {
	if p.w == nil || n%64 != 0 { // asking the time for each record would cost more than the record
		return
	}
	now := p.now()
	if now.Sub(p.begun) < progressAfter || now.Sub(p.last) < progressEvery {
		return
	}
	p.last, p.shown = now, true
	fmt.Fprintf(p.w, "\r\x1b[K%d %s in %v", n, p.what, now.Sub(p.begun).Round(100*time.Millisecond))
}

// waiting tells every second that there is no answer yet, until its result is
// called, once.
func (p *meter) waiting() (stop func()) {
	if p.w == nil {
		return func() {}
	}
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-done:
				p.end()
				return
			case <-tick.C:
				p.shown = true
				fmt.Fprintf(p.w, "\r\x1b[Kwaiting for %s since %v", p.what, p.now().Sub(p.begun).Round(time.Second))
			}
		}
	}()
	return func() { close(done); <-ended }
}

// end takes the line away.
func (p *meter) end() {
	if p.shown {
		io.WriteString(p.w, "\r\x1b[K")
		p.shown = false
	}
}
