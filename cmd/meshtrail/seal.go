package main

import (
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/meshtrail/meshtrail/internal/fault"
)

func newSeal(t *terminal) *cobra.Command {
	var c client
	cmd := &cobra.Command{
		Use:   "seal",
		Short: "Seal everything received so far and print the signed checkpoint",
		Long: `Asks the server to write everything that is only in its journal into sealed
segments, and prints the signed checkpoint of the ledger that commits to them.
Keep the checkpoint elsewhere: verify --checkpoint finds a history that was
rolled back behind it.`,
		Example: `  meshtrail seal > checkpoint.txt
  meshtrail verify ./meshtrail-data --checkpoint checkpoint.txt`,
		Args: arguments(0, 0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := c.open(); err != nil {
				return err
			}
			resp, err := c.do(cmd.Context(), http.MethodPost, "/api/v1/seal", nil)
			if err != nil {
				return err
			}
			defer resp.Body.Close()
			var answer struct {
				Checkpoint struct {
					Size int64  `json:"size"`
					Note string `json:"note"`
				} `json:"checkpoint"`
			}
			if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
				return fault.Errorf(fault.Corrupt, "read the answer: %w", err)
			}
			fmt.Fprintf(t.err, "sealed; the ledger has %d leaves\n", answer.Checkpoint.Size)
			_, err = fmt.Fprint(t.out, escapeText(answer.Checkpoint.Note))
			return err
		},
	}
	c.flags(cmd)
	return cmd
}
