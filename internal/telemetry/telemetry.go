// Package telemetry is how Meshtrail talks about itself: a structured logger
// and a set of metrics. It knows nothing of records.
//
// Two rules hold for every user. What is logged or put in a label is an id, a
// kind or a number, never the content of a record: our own logs are not
// encrypted. And a label has few values: values that come from outside go
// through Bounded first.
//
// Nothing here survives a crash. Everything is safe for concurrent use.
package telemetry

import (
	"io"
	"log/slog"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/meshtrail/meshtrail/internal/fault"
)

// Logger returns a logger that writes to w lines of JSON, or of key=value text.
// level is debug, info, warn or error; anything else is fault.Invalid. w is
// written by one caller at a time.
func Logger(w io.Writer, level string, json bool) (*slog.Logger, error) {
	var l slog.Level
	switch strings.ToLower(level) {
	case "debug":
		l = slog.LevelDebug
	case "info", "":
		l = slog.LevelInfo
	case "warn", "warning":
		l = slog.LevelWarn
	case "error":
		l = slog.LevelError
	default:
		return nil, fault.WithHint(
			fault.Errorf(fault.Invalid, "log level %q is unknown", level),
			"use debug, info, warn or error")
	}
	o := &slog.HandlerOptions{Level: l}
	if json {
		return slog.New(slog.NewJSONHandler(w, o)), nil
	}
	return slog.New(slog.NewTextHandler(w, o)), nil
}

// Build describes this binary. Unknown parts are "unknown".
type Build struct {
	Version  string // module version, or "devel"
	Revision string // VCS revision, with "-dirty" when files were changed
	Go       string // version of the Go toolchain
}

// ReadBuild returns the description that the Go linker left in the binary.
func ReadBuild() Build {
	b := Build{Version: "devel", Revision: "unknown", Go: runtime.Version()}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		b.Version = v
	}
	dirty := ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			b.Revision = s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = "-dirty"
		}
	}
	b.Revision += dirty
	return b
}
