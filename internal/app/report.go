package app

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/meshtrail/meshtrail/internal/access"
	"github.com/meshtrail/meshtrail/internal/comply"
	"github.com/meshtrail/meshtrail/internal/ledger"
	"github.com/meshtrail/meshtrail/internal/ledger/verify"
	"github.com/meshtrail/meshtrail/internal/query"
)

// inputs gathers what a report is made from. An epoch comes first, so that the
// ledger covers everything received until now.
func (s *server) inputs(ctx context.Context, by *access.Principal, remote string, from, to time.Time) (comply.Inputs, error) {
	if err := s.store.Epoch(ctx, "interval"); err != nil {
		return comply.Inputs{}, err
	}
	if err := s.noteTokens(ctx); err != nil {
		return comply.Inputs{}, err
	}
	return comply.Inputs{
		Entity: s.cfg.Report.Entity, System: s.cfg.Report.System, Tenant: string(by.Tenant),
		From: from, To: to, Now: time.Now(), By: by.Name, Authority: string(access.Evidence),
		Version: s.o.Version, BinarySHA256: binarySum(), ConfigSHA256: s.cfg.SHA256(),
		Classes: s.classes(from), Ledger: s.ledger,
		Verify: func(ctx context.Context) (*verify.Report, error) {
			return verify.Folder(ctx, s.root, verify.Options{})
		},
		Ask: func(ctx context.Context, q comply.Question) (comply.Answer, error) { return s.ask(ctx, by, remote, q) },
	}, nil
}

// classes lists the retention that policy promises, in days counted from a time.
func (s *server) classes(from time.Time) []comply.Class {
	var out []comply.Class
	for name, kept := range s.policy.Classes() {
		out = append(out, comply.Class{Name: string(name), Days: int(kept.End(from).Sub(from).Hours() / 24)})
	}
	slices.SortFunc(out, func(a, b comply.Class) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// ask answers a report's question through the one door of every query: in the
// caller's scope, and on record.
func (s *server) ask(ctx context.Context, by *access.Principal, remote string, q comply.Question) (comply.Answer, error) {
	scope, err := access.ReadScope(by)
	if err != nil {
		return comply.Answer{}, err
	}
	res, err := s.query.Query(ctx, scope, query.Request{Query: q.Query, End: q.To.UnixNano(), Instant: true, Remote: remote})
	if err != nil {
		return comply.Answer{}, err
	}
	a := comply.Answer{Scanned: res.Stats.RowsScanned, Matched: res.Stats.RowsMatched}
	if res.Partial {
		a.Incomplete = strings.Join(res.Warnings, "; ")
	}
	for _, one := range res.Series {
		if len(one.Has) == 0 || !one.Has[len(one.Has)-1] {
			continue
		}
		row := comply.Row{Count: uint64(one.Vals[len(one.Vals)-1])}
		for _, name := range q.By {
			row.Values = append(row.Values, one.Labels.Get(name))
		}
		a.Rows = append(a.Rows, row)
	}
	return a, nil
}

// issue appends a report's leaf.
func (s *server) issue(ctx context.Context, leaf ledger.Report) (ledger.Checkpoint, error) {
	return s.ledger.Append(ctx, leaf)
}

// binarySum is the hash of the running program, so that a report names what
// made it; "" when the program cannot be read.
var binarySum = sync.OnceValue(func() string {
	name, err := os.Executable()
	if err != nil {
		return ""
	}
	f, err := os.Open(name)
	if err != nil {
		return ""
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return ""
	}
	return hex.EncodeToString(h.Sum(nil))
})
