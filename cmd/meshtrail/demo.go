package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"

	"github.com/spf13/cobra"

	"github.com/meshtrail/meshtrail/internal/app"
	"github.com/meshtrail/meshtrail/internal/app/demo"
	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/httpd"
	"github.com/meshtrail/meshtrail/internal/identity"
)

func newDemo(t *terminal) *cobra.Command {
	d := demonstration{t: t}
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show it at work with simulated service meshes",
		Long: `Begins a history in a temporary folder (or in --data, which is kept), serves it
on loopback, and lets three simulated meshes write to it through the real door:
Istio (JSON and text), Linkerd and Cilium Hubble. The last 15 minutes are there
at once. Two incidents repeat: payments loses all its endpoints (503 UH), and a
workload without an identity is denied everywhere (RBAC 403, policy DROPPED).

It prints the address of the page and commands to try. Ctrl-C ends it.`,
		Example: `  meshtrail demo
  meshtrail demo --data ./demo-data --rate 500`,
		Args: arguments(0, 0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error { return d.run(cmd.Context()) },
	}
	f := cmd.Flags()
	f.StringVar(&d.data, "data", "", "data folder to create or continue, and keep (default: a temporary one, deleted at the end)")
	f.StringVar(&d.listen, "listen", "", "address to listen on (default "+httpd.DefaultListen+", or a free port when that is taken)")
	f.IntVar(&d.rate, "rate", 50, "records per second")
	f.Uint64Var(&d.seed, "seed", 1, "the same seed makes the same traffic")
	return cmd
}

type demonstration struct {
	t            *terminal
	data, listen string
	rate         int
	seed         uint64
}

func (d *demonstration) run(ctx context.Context) error {
	if d.rate < 1 || d.rate > demo.MaxRate {
		return &exitError{exitUsage, fault.Errorf(fault.Invalid, "--rate %d is not between 1 and %d", d.rate, demo.MaxRate)}
	}
	keep := d.data != ""
	if !keep {
		dir, err := os.MkdirTemp("", "meshtrail-demo-")
		if err != nil {
			return fault.Errorf(fault.Unavailable, "make a temporary folder: %w", err)
		}
		defer os.RemoveAll(dir)
		d.data = dir
	}
	if _, err := os.Stat(filepath.Join(d.data, "ledger")); !keep || errors.Is(err, os.ErrNotExist) {
		if _, err := app.Init(ctx, d.data, version()); err != nil {
			return err
		}
	}
	if d.listen == "" {
		d.listen = freePort(httpd.DefaultListen)
	}
	return d.serve(ctx, keep)
}

// freePort returns the address if nobody listens there, else one with a port
// that the system chooses.
func freePort(address string) string {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return "127.0.0.1:0"
	}
	l.Close()
	return address
}

// serve runs the server and, once it accepts, the simulation beside it.
func (d *demonstration) serve(ctx context.Context, keep bool) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var simulation sync.WaitGroup
	err := app.Serve(ctx, app.ServeOptions{
		Data: d.data, Listen: d.listen, Version: version(), Out: d.t.out, Err: d.t.err, LogLevel: "warn",
		Ready: func(url, token string) {
			fmt.Fprintf(d.t.out, "ready %s\n", url)
			simulation.Go(func() {
				client := &http.Client{Transport: &http.Transport{}}
				defer client.CloseIdleConnections()
				err := demo.Run(ctx, demo.Options{URL: url, Token: token, Rate: d.rate, Seed: d.seed, Client: client}, func(n int) { d.greet(url, token, keep, n) })
				if err != nil {
					cancel(err)
				}
			})
		},
	})
	if cause := context.Cause(ctx); err == nil && cause != nil && !errors.Is(cause, context.Canceled) {
		err = cause
	}
	cancel(nil)
	simulation.Wait()
	return err
}

// greet says where to look and what to try.
func (d *demonstration) greet(url, token string, keep bool, records int) {
	me := quoteArg(program())
	folder := d.data + " (deleted at the end; keep one with --data)"
	if keep {
		folder = d.data
	}
	tokenFile := quoteArg(filepath.Join(d.data, identity.TokenFile))
	ask := " --token-file " + tokenFile
	if url != "http://"+httpd.DefaultListen {
		ask += " --server " + url
	}
	fmt.Fprintf(d.t.out, `
  page    %s/#token=%s
  token   %s
  data    %s

Three meshes write %d records/s, beside %d records of the last 15 minutes.
At +1 min payments loses its endpoints, at +3 min an unknown workload knocks.

Try, in another terminal:
  %s query '{mesh="istio"} | http_response_status_code >= 500' --since 15m%s
  %s tail '{mesh=~"istio|cilium"}'%s
  %s report soc2 --from -1h -o soc2.html%s
  %s verify %s

Ctrl-C ends the demonstration.
`, url, token, tokenFile, folder, d.rate, records, me, ask, me, ask, me, ask, me, quoteArg(d.data))
}

// program is the command as it was typed, when it is ours.
func program() string {
	if len(os.Args) > 0 && filepath.Base(os.Args[0]) == "meshtrail" {
		return os.Args[0]
	}
	return "meshtrail"
}
