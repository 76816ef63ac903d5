package main

import (
	"github.com/spf13/cobra"

	"github.com/meshtrail/meshtrail/internal/app"
)

func newAgent(t *terminal) *cobra.Command {
	o := app.AgentOptions{Err: t.err}
	cmd := &cobra.Command{
		Use:   "agent --config FILE",
		Short: "Read log files and forward them to a server",
		Long: `Reads log files as they grow, through rotation and restarts, and forwards their
records to a server. A line is in the agent's own encrypted spool before the
file's position moves on, and leaves the spool only when the server has made it
durable: nothing is lost or sent twice when agent, server or network fail.`,
		Example: `  meshtrail check agent.yaml
  meshtrail agent --config agent.yaml`,
		Args: arguments(0, 0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.Config == "" {
				return usage(cmd, "agent needs a configuration file: --config FILE")
			}
			o.Version = version()
			return app.Agent(cmd.Context(), o)
		},
	}
	cmd.Flags().StringVar(&o.Config, "config", "", "configuration file")
	return cmd
}
