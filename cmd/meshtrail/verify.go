package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/ledger/verify"
	"github.com/meshtrail/meshtrail/internal/vfs"
)

// exitCannotVerify is verify's code for a folder that gives no ground to judge.
const exitCannotVerify = 3

func newVerify(t *terminal) *cobra.Command {
	var jsonFile, logKey, checkpoint string
	cmd := &cobra.Command{
		Use:   "verify PATH",
		Short: "Check offline that nothing in a data folder was changed",
		Long: `Checks a data folder, in use or copied, without a server, without a decryption
key and without writing to it: that the ledger is signed and whole, that each
segment is byte for byte what the ledger says, and that the journal's chain
continues from it. It names the file and the offset of what is wrong, and says
what it did not check.

Give the log key that init printed (--log-key), so that the folder cannot vouch
for itself, and an earlier checkpoint (--checkpoint), so that a folder rolled
back as a whole is found out.

It exits 0 verified, 1 tampered, 2 incomplete, 3 cannot verify.`,
		Example: `  meshtrail verify ./meshtrail-data
  meshtrail verify /mnt/copy --log-key "$(cat ledger.pub)" --checkpoint checkpoint.txt
  meshtrail verify ./meshtrail-data --json - | jq .findings`,
		Args: arguments(1, 1, "one data folder"),
		RunE: func(cmd *cobra.Command, args []string) error {
			o := verify.Options{LogKey: logKey}
			if checkpoint != "" {
				data, err := os.ReadFile(checkpoint)
				if err != nil {
					return &exitError{exitCannotVerify, fault.Errorf(fault.Invalid, "read the earlier checkpoint: %w", err)}
				}
				o.Checkpoint = data
			}
			if isTerminal(t.err) {
				o.Progress = progress(t.err)
			}
			folder, err := vfs.Dir(args[0])
			if err != nil {
				return &exitError{exitCannotVerify, fault.Errorf(fault.NotFound, "open data folder: %w", err)}
			}
			report, err := verify.Folder(cmd.Context(), folder, o)
			if err != nil {
				return &exitError{exitCannotVerify, err}
			}
			if jsonFile != "" {
				if err := writeReport(t, jsonFile, report); err != nil {
					return &exitError{exitCannotVerify, err}
				}
			}
			if jsonFile != "-" {
				out := t.data()
				if err := report.WriteText(out); err != nil {
					return &exitError{exitCannotVerify, err}
				}
				out.flush()
			}
			if code := report.Verdict.ExitCode(); code != 0 {
				return &exitError{code: code}
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&jsonFile, "json", "", "also write the report as JSON to this file; - prints it instead of the text")
	f.StringVar(&logKey, "log-key", "", "verifier key that the ledger must be signed with (default: the one in the folder)")
	f.StringVar(&checkpoint, "checkpoint", "", "file with an earlier signed checkpoint that the ledger must continue")
	return cmd
}

func writeReport(t *terminal, name string, report *verify.Report) error {
	data, err := json.MarshalIndent(report, "", "  ")
	if err != nil {
		return fault.Errorf(fault.Internal, "encode the report: %w", err)
	}
	data = append(data, '\n')
	if name == "-" {
		out := t.data()
		defer out.flush()
		_, err = out.Write(data)
		return err
	}
	if err := os.WriteFile(name, data, 0o644); err != nil {
		return fault.Errorf(fault.Invalid, "write the report: %w", err)
	}
	return nil
}

// progress shows how far a long verification is, in one line.
func progress(w io.Writer) func(done, total int64) {
	last := int64(-1)
	return func(done, total int64) {
		if total == 0 || done*100/total == last {
			return
		}
		last = done * 100 / total
		fmt.Fprintf(w, "\rverifying segments: %d%%", last)
		if done >= total {
			fmt.Fprint(w, "\r\x1b[K")
		}
	}
}
