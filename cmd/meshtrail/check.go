package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/meshtrail/meshtrail/internal/config"
	"github.com/meshtrail/meshtrail/internal/fault"
)

func newCheck(t *terminal) *cobra.Command {
	return &cobra.Command{
		Use:   "check CONFIG",
		Short: "Check a configuration file and show everything that is wrong with it",
		Long: `Reads a configuration file as serve would and prints every problem at once, as
FILE:LINE:COLUMN: KEY: PROBLEM. It exits 0 when there is none, 2 otherwise.`,
		Example: "  meshtrail check ./meshtrail-data/meshtrail.yaml",
		Args:    arguments(1, 1, "one configuration file"),
		RunE: func(_ *cobra.Command, args []string) error {
			_, err := config.Load(args[0])
			var problems config.Problems
			if errors.As(err, &problems) {
				for _, p := range problems {
					fmt.Fprintf(t.err, "%s:%s\n", args[0], escapeText(p.String()))
				}
				return &exitError{exitUsage, fault.Errorf(fault.Invalid, "%d problems in %s", len(problems), args[0])}
			}
			if err != nil {
				return &exitError{exitUsage, err}
			}
			fmt.Fprintf(t.out, "%s: ok\n", args[0])
			return nil
		},
	}
}
