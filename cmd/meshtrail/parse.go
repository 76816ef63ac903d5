package main

import (
	"encoding/json"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/pipeline"
)

func newParse(t *terminal) *cobra.Command {
	var platform, format string
	cmd := &cobra.Command{
		Use:   "parse [--source PLATFORM] [--format FORMAT] [FILE...]",
		Short: "Show what intake would make of raw lines; nothing is stored",
		Long: `Reads raw lines from files, or from standard input, and prints one JSON object
for each record as intake would keep it: names of the schema, parse.format (the
layout that matched) and parse.status (ok, partial or none). Nothing is stored
and no server is asked.

A format is Envoy's text_format or json_format, or NGINX's log_format, as formats
of the configuration have it (docs/platforms.md): lines of it are read by it.`,
		Example: `  kubectl logs deploy/web -c istio-proxy | meshtrail parse | jq .
  meshtrail parse --source hubble flows.json
  meshtrail parse --format '%START_TIME(%s)% %RESPONSE_CODE% "%REQ(:PATH)%"' access.log
  meshtrail parse --format '$remote_addr [$time_local] "$request" $status $request_time' access.log`,
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				args = []string{"-"}
			}
			formats, err := oneFormat(format, platform)
			if err != nil {
				return &exitError{exitUsage, err}
			}
			for _, name := range args {
				if err := parseFile(name, platform, formats, t); err != nil {
					return err
				}
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&platform, "source", "", "platform of the lines, such as istio or nginx: docs/platforms.md (default: told by their shape)")
	cmd.Flags().StringVar(&format, "format", "", "access log format that the lines may be of: Envoy's text_format, or json_format as JSON, or NGINX's log_format")
	return cmd
}

// oneFormat compiles the format of the command line, which is called format. An
// error says the column in it.
func oneFormat(format, platform string) (*pipeline.Formats, error) {
	if format == "" {
		return nil, nil
	}
	one := pipeline.Format{Name: "format", Platform: platform, Text: format}
	if !strings.Contains(format, "%") && strings.Contains(format, "$") { // Envoy's has operators, NGINX's variables
		one.Text, one.NGINX = "", format
	} else if trimmed := strings.TrimSpace(format); strings.HasPrefix(trimmed, "{") {
		if err := json.Unmarshal([]byte(trimmed), &one.JSON); err == nil {
			one.Text = ""
		} else {
			one.JSON = nil
		}
	}
	formats, err := pipeline.CompileFormats([]pipeline.Format{one})
	if err != nil {
		_, what, _ := strings.Cut(err.Error(), ": ")
		return nil, fault.WithHint(fault.Errorf(fault.Invalid, "--format: %s", what), fault.HintOf(err))
	}
	return formats, nil
}

func parseFile(name, platform string, formats *pipeline.Formats, t *terminal) error {
	out := t.data()
	defer out.flush()
	err := withLines(name, t, func(in io.Reader) error {
		return pipeline.Parse(in, pipeline.ParseOptions{Platform: platform, Formats: formats}, out)
	})
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
