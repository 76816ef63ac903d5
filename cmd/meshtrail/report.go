package main

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/meshtrail/meshtrail/internal/fault"
)

// reportFormats maps the end of the output file to the format asked for.
var reportFormats = map[string]string{".html": "html", ".htm": "html", ".json": "json"}

func newReport(t *terminal) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "report",
		Short:   "Make evidence for an auditor",
		Long:    "Makes reports whose every number names the query and the checkpoint that it came from.",
		Example: `  meshtrail report soc2 --from -90d -o evidence.html`,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		Args:    arguments(0, 0, "the name of a report"),
	}
	cmd.AddCommand(newReportSOC2(t))
	return cmd
}

func newReportSOC2(t *terminal) *cobra.Command {
	var c client
	var from, to, out string
	cmd := &cobra.Command{
		Use:   "soc2 -o FILE.(html|json)",
		Short: "Completeness and integrity of the logs of a period, for SOC 2",
		Long: `Asks the server for the evidence of a period: what every source handed in and
what became of it, whether everything kept is unchanged, and the query behind
every number. The report itself becomes a leaf of the ledger.

A report whose period is not over is marked PRELIMINARY. Times are RFC 3339,
Unix seconds, or relative: -90d, now.`,
		Example: `  meshtrail report soc2 --from -90d -o evidence.html
  meshtrail report soc2 --from 2026-01-01 --to 2026-04-01 -o q1.json`,
		Args: arguments(0, 0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			format, ok := reportFormats[strings.ToLower(filepath.Ext(out))]
			if !ok {
				return usage(cmd, "output file %q: its name must end in .html or .json", out)
			}
			q, err := period(from, to, time.Now())
			if err != nil {
				return err
			}
			q.Set("format", format)
			if err := c.open(); err != nil {
				return err
			}
			resp, err := c.do(cmd.Context(), http.MethodGet, "/api/v1/reports/soc2", q)
			if err != nil {
				return err
			}
			defer resp.Body.Close()
			n, err := save(out, resp.Body)
			if err != nil {
				return err
			}
			fmt.Fprintf(t.out, "wrote %s (%d bytes)\n", out, n)
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&from, "from", "-30d", "begin of the period")
	f.StringVar(&to, "to", "now", "end of the period")
	f.StringVarP(&out, "output", "o", "soc2.html", "file to write: .html or .json")
	c.flags(cmd)
	return cmd
}

// period turns two times into query parameters.
func period(from, to string, now time.Time) (url.Values, error) {
	f, err := parseTime(from, now)
	if err != nil {
		return nil, fault.Errorf(fault.Invalid, "--from: %w", err)
	}
	u, err := parseTime(to, now)
	if err != nil {
		return nil, fault.Errorf(fault.Invalid, "--to: %w", err)
	}
	if !f.Before(u) {
		return nil, fault.WithHint(fault.Errorf(fault.Invalid, "the time range from %s to %s is empty", from, to), "--from must be before --to")
	}
	return url.Values{"from": {instant(f)}, "to": {instant(u)}}, nil
}

// instant writes a time exactly.
func instant(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

// save writes a file whole or not at all.
func save(name string, from io.Reader) (int64, error) {
	tmp, err := os.CreateTemp(filepath.Dir(name), ".meshtrail-*")
	if err != nil {
		return 0, fault.Errorf(fault.Invalid, "write %s: %w", name, err)
	}
	defer os.Remove(tmp.Name()) // after the rename there is nothing to remove
	n, err := io.Copy(tmp, from)
	if err == nil {
		err = tmp.Sync()
	}
	if cerr := tmp.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Chmod(tmp.Name(), 0o644)
	}
	if err == nil {
		err = os.Rename(tmp.Name(), name)
	}
	if err != nil {
		return 0, fault.Errorf(fault.Unavailable, "write %s: %w", name, err)
	}
	return n, nil
}
