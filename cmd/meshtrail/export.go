package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/meshtrail/meshtrail/internal/fault"
)

// exports are the forms that the server writes: they are passed on as they come.
var exports = []string{"parquet"}

func (a *querying) exporting() bool { return slices.Contains(exports, a.output) }

// manifestTrailer is the HTTP trailer of an export.
const manifestTrailer = "Meshtrail-Manifest"

// A sealedManifest says what an export consists of.
type sealedManifest struct {
	Rows      int
	Bytes     int64
	SHA256    string
	Truncated bool
	Partial   bool
}

// export passes a file of records on, and holds it against its manifest.
func (a *querying) export(ctx context.Context, t *terminal, q url.Values) error {
	if t.outTTY {
		return &exitError{exitUsage, fault.WithHint(fault.Errorf(fault.Invalid, "%s is not for terminals", a.output), "write it to a file: … > records."+a.output)}
	}
	if a.limit > 0 && a.limitSet {
		return &exitError{exitUsage, fault.WithHint(fault.Errorf(fault.Invalid, "an export has no limit"), "leave out --limit, and narrow the time range or the query")}
	}
	q.Del("limit")
	q.Set("format", a.output)
	if len(a.fields) > 0 {
		q.Set("fields", strings.Join(a.fields, ","))
	}
	resp, err := a.do(ctx, http.MethodGet, "/api/v1/export", q)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	got := &counted{w: t.out, sum: sha256.New(), bar: t.meter("bytes")}
	_, err = io.Copy(got, resp.Body)
	got.bar.end()
	if ctx.Err() != nil {
		return fault.Wrap(fault.Canceled, ctx.Err())
	}
	if got.err != nil {
		return fault.Errorf(fault.Unavailable, "write the export: %w", got.err)
	}
	cut := func(format string, args ...any) error {
		return &exitError{exitPartial, fault.WithHint(fault.Errorf(fault.Corrupt, format, args...), "the file is not whole: ask again")}
	}
	var m sealedManifest
	switch {
	case err != nil:
		return cut("the export was cut off after %d bytes: %w", got.n, err)
	case json.Unmarshal([]byte(resp.Trailer.Get(manifestTrailer)), &m) != nil:
		return cut("the export was cut off after %d bytes: its manifest is missing", got.n)
	case m.Bytes != got.n || m.SHA256 != hex.EncodeToString(got.sum.Sum(nil)):
		return cut("the export is not what its manifest says: %d bytes of %d, or others", got.n, m.Bytes)
	}
	fmt.Fprintf(t.err, "%d records, %d bytes, SHA-256 %s\n", m.Rows, m.Bytes, m.SHA256)
	return verdict(t, m.Rows, &manifest{Rows: m.Rows, Truncated: m.Truncated, Partial: m.Partial})
}

// counted passes bytes on, counts and hashes them.
type counted struct {
	w   io.Writer
	n   int64
	sum hash.Hash
	bar *meter
	err error // of w
}

func (c *counted) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	c.sum.Write(p[:n])
	c.bar.at(int(c.n) &^ 63)
	c.err = err
	return n, err
}
