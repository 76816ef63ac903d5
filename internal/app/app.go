// Package app is the only wiring of the house: it opens the rooms in order,
// hands each what it needs, runs them, and closes them in the reverse order.
// receivers.go and doors.go are the lists of what a server speaks. app decides
// nothing about logs.
//
// What survives a crash is the store's and the ledger's business; app's part is
// that a journal whose sync failed ends the process (nothing later may be
// acknowledged), and that two processes never open one data folder.
package app

import (
	"context"
	"io"

	"github.com/meshtrail/meshtrail/internal/fault"
)

// ServeOptions say what to serve and how.
type ServeOptions struct {
	Data    string // data folder, made by Init
	Config  string // configuration file; "": DIR/meshtrail.yaml
	Listen  string // overrides the configuration
	TLSCert string // overrides the configuration
	TLSKey  string // overrides the configuration
	Version string
	Out     io.Writer // the ready line
	Err     io.Writer // the log
}

// Serve runs a server until ctx ends or it cannot go on.
func Serve(ctx context.Context, o ServeOptions) error {
	return fault.Errorf(fault.Unavailable, "serve %s: not wired yet", o.Data)
}
