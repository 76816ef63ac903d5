package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/identity"
)

func newToken(t *terminal) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Make credentials for senders, readers, auditors and monitors",
		Long: `Makes credentials. A server knows those that its configuration lists under tokens:,
each with the role that says what it may.`,
		Example: `  meshtrail token new`,
		Args:    arguments(0, 0, "a verb: new"),
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newTokenNew(t))
	return cmd
}

func newTokenNew(t *terminal) *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:   "new",
		Short: "Print a new token and its hash",
		Long: `Prints a new random token, and its hash. The sender gets the token; the server
needs no more than the hash, in a file that its configuration names:

  tokens:
    - name: edge
      role: sender        # or reader, auditor, monitor, administrator
      tenant: default
      file: /etc/meshtrail/edge.sha256

SIGHUP makes a running server read its token files again. Nothing is kept here:
a token that is lost is replaced.`,
		Example: `  meshtrail token new
  meshtrail token new --out edge.token > edge.sha256`,
		Args: arguments(0, 0, "no arguments"),
		RunE: func(*cobra.Command, []string) error {
			token := identity.NewToken()
			if out != "" {
				if err := writeNew(out, token+"\n"); err != nil {
					return err
				}
				fmt.Fprintln(t.out, identity.Hash(token))
				fmt.Fprintf(t.err, "The token is in %s, readable by you alone. Give it to the sender; the line above is what a server's token file may hold.\n", out)
				return nil
			}
			fmt.Fprintln(t.out, token)
			fmt.Fprintln(t.out, identity.Hash(token))
			fmt.Fprintf(t.err, `
The first line is the token: give it to the sender, who shows it as
  Authorization: Bearer TOKEN   (or as the password of Basic, or as an API key)
The second is its hash. Put it into a file that the server can read, and name
the file in the server's configuration:
  tokens:
    - {name: edge, tenant: default, role: sender, file: /etc/meshtrail/edge.sha256}
Then restart the server, or send it SIGHUP if the entry was there before.
`)
			return nil
		},
	}
	cmd.Flags().StringVar(&out, "out", "", "file to write the token to, mode 0600; it must not exist; standard output has the hash alone then")
	return cmd
}

// writeNew writes a file that only its owner reads and that was not there.
func writeNew(name, text string) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return fault.WithHint(fault.Errorf(fault.Conflict, "%s exists", name), "a token is never overwritten; choose another name")
	}
	if err != nil {
		return fault.Errorf(fault.Invalid, "create %s: %w", name, err)
	}
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fault.Errorf(fault.Unavailable, "write %s: %w", name, err)
	}
	return nil
}
