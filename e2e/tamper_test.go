package e2e

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/meshtrail/meshtrail/e2e/harness"
)

// TestTamper changes a folder that a real server wrote, in every way a file can
// be changed, and requires that verify exits 1 and names the file. The packages
// of the vault flip every single byte of each kind of file; here random ones of
// the real folder are flipped through the real binary.
func TestTamper(t *testing.T) {
	data := harness.Init(t)
	s := harness.Serve(t, data)
	for i := range 3 {
		for j := range 40 {
			s.Bulk(fmt.Sprintf(`{"@timestamp":"2026-11-20T10:%02d:%02dZ","app":"tamper","message":"round %d record %d"}`, i, j, i, j))
		}
		s.Must("POST", "/api/v1/seal", nil, nil)
	}
	s.Bulk(`{"app":"tamper","message":"in the journal only"}`)
	s.Stop()
	harness.Run(t, 0, "verify", data)
	rng := rand.New(rand.NewPCG(1, 2))
	for _, kind := range []string{"segments", "ledger", "journal"} {
		var files []string
		filepath.WalkDir(filepath.Join(data, kind), func(p string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() && !strings.HasSuffix(p, ".lock") && !strings.HasSuffix(p, "LOCK") {
				if i, _ := d.Info(); i.Size() > 0 {
					files = append(files, p)
				}
			}
			return err
		})
		if len(files) == 0 {
			t.Fatalf("no files in %s", kind)
		}
		for _, file := range files {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			check := func(what string, change func() error) {
				t.Helper()
				if err := change(); err != nil {
					t.Fatal(err)
				}
				out := harness.Run(t, 1, "verify", data)
				// A journal that is gone altogether has no file left to name.
				if !strings.Contains(out, filepath.Base(file)) && !(what == "drop" && len(files) == 1 && strings.Contains(out, "missing")) {
					t.Errorf("%s: %s: verify does not name the file:\n%s", file, what, out)
				}
				os.Remove(file) // it may be a link by now
				if err := os.WriteFile(file, b, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			for range 3 {
				at := rng.IntN(len(b))
				check(fmt.Sprintf("flip byte %d", at), func() error {
					c := append([]byte(nil), b...)
					c[at] ^= 1 << rng.IntN(8)
					return os.WriteFile(file, c, 0o600)
				})
			}
			check("truncate", func() error { return os.Truncate(file, int64(len(b))/2) })
			check("drop", func() error { return os.Remove(file) })
			if kind == "segments" {
				check("replace by a link", func() error {
					if err := os.Remove(file); err != nil {
						return err
					}
					return os.Symlink("/etc/hostname", file)
				})
			}
		}
	}
	harness.Run(t, 0, "verify", data)
}
