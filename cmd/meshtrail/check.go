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
		Long: `Reads a configuration file as serve or agent would and prints every problem at
once, as FILE:LINE:COLUMN: KEY: PROBLEM. It exits 0 when there is none, 2 otherwise.`,
		Example: `  meshtrail check ./meshtrail-data/meshtrail.yaml
  meshtrail check agent.yaml`,
		Args: arguments(1, 1, "one configuration file"),
		RunE: func(_ *cobra.Command, args []string) error {
			kind, err := checkFile(args[0])
			var problems config.Problems
			if errors.As(err, &problems) {
				for _, p := range problems {
					fmt.Fprintf(t.err, "%s:%s\n", args[0], escapeText(p.String()))
				}
				count := fmt.Sprintf("%d problems", len(problems))
				if len(problems) == 1 {
					count = "1 problem"
				}
				return &exitError{exitUsage, fault.Errorf(fault.Invalid, "%s in %s, read as the configuration of %s", count, args[0], kind)}
			}
			if err != nil {
				return &exitError{exitUsage, err}
			}
			fmt.Fprintf(t.out, "%s: ok, the configuration of %s\n", args[0], kind)
			return nil
		},
	}
}

// checkFile reads a file as the configuration of a server and, if it is not
// one, of an agent. The reading that knows more of its keys is what was meant.
func checkFile(name string) (kind string, err error) {
	_, server := config.Load(name)
	if server == nil {
		return "a server", nil
	}
	_, agent := config.LoadAgent(name)
	var ps, pa config.Problems
	if agent == nil || errors.As(server, &ps) && errors.As(agent, &pa) && unknown(pa) < unknown(ps) {
		return "an agent", agent
	}
	return "a server", server
}

// unknown counts the keys that a reading does not know.
func unknown(problems config.Problems) (n int) {
	for _, p := range problems {
		if p.Problem == "unknown key" {
			n++
		}
	}
	return n
}
