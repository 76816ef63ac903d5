package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/meshtrail/meshtrail/internal/fault"
)

func newReveal(t *terminal) *cobra.Command {
	var c client
	var reason string
	cmd := &cobra.Command{
		Use:   "reveal TOKEN...",
		Short: "Turn tokens of the policy back into the values they stand for",
		Long: `Asks the server for the values that tokens (tok_…) stand for. It needs a
credential of role custodian, and a reason. Each token is an audit record of its
own, durable before the value is shown: who, which token, why; never the value.`,
		Example: `  meshtrail reveal tok_mfzwizlsnfuw4zlsmvzgs3tf --reason "case 4711"`,
		Args:    arguments(1, 100, "1 to 100 tokens"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if reason == "" {
				return usage(cmd, "no --reason: it goes on record with each token")
			}
			if err := c.open(); err != nil {
				return err
			}
			body, err := json.Marshal(map[string]any{"tokens": args, "reason": reason})
			if err != nil {
				return fault.Errorf(fault.Internal, "encode the request: %w", err)
			}
			resp, err := c.send(cmd.Context(), http.MethodPost, "/api/v1/tokens/reveal", nil, "application/json", bytes.NewReader(body))
			if err != nil {
				return err
			}
			defer resp.Body.Close()
			var answer struct {
				Tokens []struct {
					Token string `json:"token"`
					Found bool   `json:"found"`
					Value string `json:"value"`
				} `json:"tokens"`
			}
			if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
				return fault.Errorf(fault.Corrupt, "read the answer: %w", err)
			}
			missing := 0
			for _, one := range answer.Tokens {
				if !one.Found {
					missing++
					fmt.Fprintf(t.err, "%s: the vault does not know it\n", escapeText(one.Token))
					continue
				}
				fmt.Fprintf(t.out, "%s\t%s\n", escapeText(one.Token), escapeText(one.Value))
			}
			if missing > 0 {
				return &exitError{exitNoMatch, nil}
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, for the audit record: a case number")
	c.flags(cmd)
	return cmd
}
