package main

import (
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/normalise"
	"github.com/meshtrail/meshtrail/internal/pipeline"
)

func newParse(t *terminal) *cobra.Command {
	var platform string
	cmd := &cobra.Command{
		Use:   "parse [--source PLATFORM] [FILE...]",
		Short: "Show what intake would make of raw lines; nothing is stored",
		Long: `Reads raw lines from files, or from standard input, and prints one JSON object
for each record as intake would keep it: names of the schema, parse.format (the
layout that matched) and parse.status (ok, partial or none). Nothing is stored
and no server is asked.`,
		Example: `  kubectl logs deploy/web -c istio-proxy | meshtrail parse | jq .
  meshtrail parse --source hubble flows.json`,
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				args = []string{"-"}
			}
			for _, name := range args {
				if err := parseFile(name, platform, t); err != nil {
					return err
				}
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&platform, "source", "", "platform of the lines: "+strings.Join(normalise.Platforms(), ", ")+" (default: told by their shape)")
	return cmd
}

func parseFile(name, platform string, t *terminal) error {
	out := t.data()
	defer out.flush()
	err := withLines(name, t, func(in io.Reader) error { return pipeline.Parse(in, platform, out) })
	if err != nil {
		return fault.Errorf(fault.KindOf(err), "parse %s: %w", name, err)
	}
	return nil
}

// withLines calls f with a file of raw lines, or with standard input for "-".
func withLines(name string, t *terminal, f func(io.Reader) error) error {
	var in io.Reader = t.in
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return &exitError{exitUsage, fault.Errorf(fault.NotFound, "read lines: %w", err)}
		}
		defer file.Close()
		if st, err := file.Stat(); err == nil && st.IsDir() {
			return &exitError{exitUsage, fault.WithHint(fault.Errorf(fault.Invalid, "read lines: %s is a folder", name), "name its files: meshtrail parse "+name+"/*")}
		}
		in = file
	}
	return f(in)
}
