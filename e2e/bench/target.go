package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A target is a log store to measure. It is started and stopped several times
// over one data folder.
type target interface {
	name() string
	// start starts the server over dir; fresh says that dir is empty.
	start(ctx context.Context, dir string, fresh bool) (*child, error)
	// do sends one request and returns the answer; a status of 300 or more is an error.
	do(ctx context.Context, method, path, contentType string, body io.Reader) ([]byte, error)
	// body puts the drawn records [from, to) into one request.
	body(d *drawer, from, to int) []byte
	// post is where bodies go, and what they are.
	post() (path, contentType string)
	// refused says why an answer of 200 still refused records; "" if it did not.
	refused(answer []byte) string
	// flush makes the server bring everything to disk in its final form.
	flush(ctx context.Context) error
	// ask answers one question.
	ask(ctx context.Context, q *query, w *workload) (answer, error)
}

// peer is what targets have in common: an address and a client.
type peer struct {
	base   string
	header http.Header
	client *http.Client
}

func newPeer() peer {
	return peer{header: http.Header{}, client: &http.Client{
		Transport: &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true},
		Timeout:   5 * time.Minute,
	}}
}

func (p *peer) do(ctx context.Context, method, path, contentType string, body io.Reader) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, p.base+path, body)
	if err != nil {
		return nil, err
	}
	req.Header = p.header.Clone()
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	resp, err := p.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode >= 300 {
		err = &answered{resp.StatusCode, fmt.Sprintf("%s answered %d: %.300s", req.URL.Path, resp.StatusCode, b)}
	}
	return b, err
}

// answered is an answer that is not a success.
type answered struct {
	status int
	text   string
}

func (a *answered) Error() string { return a.text }

// final reports whether to send the same again would be of no use.
func (a *answered) final() bool {
	return a.status >= 400 && a.status < 500 && a.status != http.StatusRequestTimeout && a.status != http.StatusTooManyRequests
}

// peers returns the stores to measure, ours first, and says which are missing
// and why. only names those that are wanted; "": all. A rival's program is
// looked for in the folder PEERS_BIN.
func peers(bin, only string) (found []target, missing []string, err error) {
	if bin, err = filepath.Abs(bin); err != nil { // servers run in folders of their own
		return nil, nil, err
	}
	wanted := func(name string) bool { return only == "" || slices.Contains(strings.Split(only, ","), name) }
	if wanted("meshtrail") {
		found = append(found, &meshtrail{peer: newPeer(), bin: bin})
	}
	dir := os.Getenv("PEERS_BIN")
	if dir != "" {
		if dir, err = filepath.Abs(dir); err != nil {
			return nil, nil, err
		}
	}
	for _, rival := range []struct {
		name string
		make func(path string) target
	}{
		{"victoria-logs", func(path string) target { return &victoriaLogs{peer: newPeer(), bin: path} }},
		{"loki", func(path string) target { return &loki{peer: newPeer(), bin: path} }},
	} {
		path := filepath.Join(dir, rival.name)
		switch st, err := os.Stat(path); {
		case !wanted(rival.name):
		case dir == "":
			missing = append(missing, rival.name+": PEERS_BIN is not set; it names the folder that holds the program")
		case err != nil || st.IsDir() || st.Mode()&0o111 == 0:
			missing = append(missing, rival.name+": no such program in "+dir)
		default:
			found = append(found, rival.make(path))
		}
	}
	return found, missing, nil
}

// bulk writes records as an Elasticsearch bulk body.
func bulk(d *drawer, from, to int) []byte {
	b := make([]byte, 0, (to-from)*(900+30*d.w.wide))
	for i := from; i < to; i++ {
		b = append(b, "{\"create\":{}}\n"...)
		b = append(d.draw(i).appendJSON(b), '\n')
	}
	return b
}

func nanos(t time.Time) string { return strconv.FormatInt(t.UnixNano(), 10) }
