package main

import (
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/meshtrail/meshtrail/internal/app"
)

// defaultData is the data folder of a server that is not told otherwise.
const defaultData = "meshtrail-data"

func newInit(t *terminal) *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:   "init --data DIR",
		Short: "Create a data folder: keys, ledger, configuration, administrator's token",
		Long: `Creates a data folder and begins its history. It is the only command that
does: serve opens and never creates, so a mistyped path cannot start a second
history. A folder that holds one already is refused.`,
		Example: `  meshtrail init --data ./meshtrail-data
  meshtrail serve --data ./meshtrail-data`,
		Args: arguments(0, 0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			made, err := app.Init(cmd.Context(), dir, version())
			if err != nil {
				return err
			}
			shown := quoteArg(dir)
			fmt.Fprintf(t.out, `Created %s
  keys/           back this folder up now, apart from the data: without it nothing can be read
  ledger/         the history of everything that is kept
  admin.token     the administrator's token, readable by you alone
  meshtrail.yaml  every setting with its default

The key that proves this history. Keep it elsewhere, with who will verify:
  %s

Next:
  meshtrail serve --data %s
  curl -H "Authorization: Bearer $(cat %s)" -H 'Content-Type: application/x-ndjson' \
    --data-binary $'{"create":{"_index":"logs"}}\n{"message":"hello"}\n' http://%s/_bulk
  meshtrail query '{}' --token-file %s
  meshtrail verify %s --log-key '%s'
`, dir, made.LogKey, shown, quoteArg(filepath.Join(dir, "admin.token")), made.Listen, quoteArg(filepath.Join(dir, "admin.token")), shown, made.LogKey)
			return nil
		},
	}
	cmd.Flags().StringVar(&dir, "data", defaultData, "data folder to create")
	return cmd
}
