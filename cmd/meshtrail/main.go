// Command meshtrail is the whole of Meshtrail in one binary: the server, the
// agent, the tools to ask and watch, and the offline verifier. One file holds
// one verb; Main dispatches and turns every error into one exit code.
//
// Data goes to standard output, everything else to standard error. Text that
// came from logs is escaped before it reaches a terminal. The command keeps
// nothing in memory between runs and writes only where a flag says.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/meshtrail/meshtrail/internal/fault"
)

// Exit codes of the reading verbs. Everything else exits with its fault's code.
const (
	exitOK      = 0
	exitNoMatch = 1
	exitUsage   = 2
	exitPartial = 3
)

func main() {
	os.Exit(Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// Main runs one command line and returns its exit code.
func Main(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root := newRoot(newTerminal(stdin, stdout, stderr))
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	var e *exitError
	if errors.As(err, &e) {
		if e.err != nil {
			complain(stderr, e.err)
		}
		return e.code
	}
	complain(stderr, err)
	return fault.KindOf(err).ExitCode()
}

// complain prints an error and its hint for a person, with the place in the
// query when it is the query's.
func complain(w io.Writer, err error) {
	fmt.Fprintf(w, "meshtrail: %s\n", escapeText(err.Error()))
	var q *queryError
	if errors.As(err, &q) {
		io.WriteString(w, q.picture())
	}
	if hint := fault.HintOf(err); hint != "" {
		fmt.Fprintf(w, "hint: %s\n", escapeText(hint))
	}
}

// An exitError ends the process with a code of its verb's own table. A nil err
// is silent.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit %d", e.code)
	}
	return e.err.Error()
}

func newRoot(t *terminal) *cobra.Command {
	root := &cobra.Command{
		Use:   "meshtrail",
		Short: "Service mesh logs that are kept, found and proven",
		Long: strings.TrimSpace(`
Meshtrail collects the logs of service meshes, keeps them so that nothing
acknowledged is lost and nothing kept can be changed unseen, and answers
questions about them.

See it work:
  meshtrail demo

Set up a server:
  meshtrail init --data ./meshtrail-data
  meshtrail serve --data ./meshtrail-data

Ask and watch:
  meshtrail query '{mesh="istio"} | http_response_status_code >= 500' --since 1h
  meshtrail tail '{namespace="shop"}'

Prove:
  meshtrail verify ./meshtrail-data
  meshtrail report soc2 --from -90d -o evidence.html`),
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			if like := cmd.SuggestionsFor(args[0]); len(like) > 0 {
				return usage(cmd, "unknown command %q; did you mean %s?", args[0], strings.Join(like, " or "))
			}
			return usage(cmd, "unknown command %q", args[0])
		},
		SuggestionsMinimumDistance: 2,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return cmd.Help()
		},
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usage(cmd, "%v", err)
	})
	root.AddGroup(
		&cobra.Group{ID: "run", Title: "Run:"},
		&cobra.Group{ID: "ask", Title: "Ask and watch:"},
		&cobra.Group{ID: "write", Title: "Write queries:"},
		&cobra.Group{ID: "prove", Title: "Prove:"},
		&cobra.Group{ID: "admin", Title: "Administer:"},
	)
	root.AddCommand(
		inGroup("run", newDemo(t), newInit(t), newServe(t), newAgent(t))...,
	)
	root.AddCommand(inGroup("ask", newQuery(t), newTail(t), newStats(t), newFields(t), newValues(t), newUnparsed(t), newConsistency(t), newParse(t))...)
	root.AddCommand(inGroup("write", newExplain(t), newFmt(t), newLint(t))...)
	root.AddCommand(inGroup("prove", newVerify(t), newReport(t))...)
	root.AddCommand(inGroup("admin", newCheck(t), newPolicy(t), newReveal(t), newToken(t), newSeal(t), newCompletion(t), newVersion(t))...)
	root.AddCommand(newLine(t))
	root.AddCommand(newTopics()...)
	return root
}

func inGroup(id string, cmds ...*cobra.Command) []*cobra.Command {
	for _, c := range cmds {
		c.GroupID = id
	}
	return cmds
}

// usage is the error of a command line that cannot be right.
func usage(cmd *cobra.Command, format string, args ...any) error {
	return &exitError{exitUsage, fault.WithHint(fault.Errorf(fault.Invalid, format, args...),
		"see: "+cmd.CommandPath()+" --help")}
}

// arguments checks the number of arguments; what names them for the error.
func arguments(least, most int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < least || most >= 0 && len(args) > most {
			return usage(cmd, "%s: want %s, got %d arguments", cmd.Name(), what, len(args))
		}
		return nil
	}
}
