package main

import (
	"os"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/meshtrail/meshtrail/internal/app"
)

// gcPercent is by how much the heap of a server grows between collections. Most
// of it is columns without pointers, which cost a collection little: half of Go's
// default takes a quarter off the peak and no CPU that could be measured
// (docs/performance.md).
const gcPercent = 50

func newServe(t *terminal) *cobra.Command {
	o := app.ServeOptions{Out: t.out, Err: t.err}
	cmd := &cobra.Command{
		Use:   "serve --data DIR",
		Short: "Run the server: web page, APIs and intake on one port",
		Long: `Opens a data folder that init created and serves the web page, the APIs and
all intake over HTTP and gRPC on one port. Receivers of other protocols (syslog,
forward, Lumberjack, GELF, Jaeger) open the ports that the configuration names
under receivers:. It prints "ready" with the address when it accepts.

Every request needs a credential: the token in DIR/admin.token, or one that the
configuration lists under tokens:. Beyond loopback the server refuses to listen
without TLS. SIGTERM and Ctrl-C stop it in order; SIGHUP reads TLS certificates
and token files again.`,
		Example: `  meshtrail serve --data ./meshtrail-data
  meshtrail serve --data /var/lib/meshtrail --listen 0.0.0.0:7420 \
    --tls-cert cert.pem --tls-key key.pem`,
		Args: arguments(0, 0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.Version = version()
			if os.Getenv("GOGC") == "" { // the operator's choice comes first
				debug.SetGCPercent(gcPercent)
			}
			return app.Serve(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.Data, "data", defaultData, "data folder, made by init")
	f.StringVar(&o.Config, "config", "", "configuration file (default DIR/meshtrail.yaml)")
	f.StringVar(&o.Listen, "listen", "", "address to listen on (default from the configuration: 127.0.0.1:7420)")
	f.StringVar(&o.TLSCert, "tls-cert", "", "TLS certificate, PEM")
	f.StringVar(&o.TLSKey, "tls-key", "", "TLS private key, PEM")
	return cmd
}
