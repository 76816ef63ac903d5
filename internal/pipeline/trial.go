package pipeline

import (
	"bufio"
	"bytes"
	"errors"
	"io"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/normalise"
	"github.com/meshtrail/meshtrail/internal/policy"
	"github.com/meshtrail/meshtrail/internal/record"
)

// maxTrialLine is the longest line that Try reads; a longer one is an error.
const maxTrialLine = 16 << 20

// Try has a policy tried on what intake would make of each line. Empty lines are
// skipped, and so are those that intake would refuse. Errors are those of the
// reader, or fault.Invalid for an unknown platform.
func Try(lines io.Reader, platform string, t *policy.Trial) error {
	if !normalise.Known(platform) {
		return fault.Errorf(fault.Invalid, "unknown platform %q", platform)
	}
	in := bufio.NewScanner(lines)
	in.Buffer(make([]byte, 64<<10), maxTrialLine)
	var b record.Batch
	norm := normalise.New()
	for in.Scan() {
		line := bytes.TrimSuffix(in.Bytes(), []byte{'\r'})
		if len(line) == 0 {
			continue
		}
		b.Reset()
		var refused *normalise.Refusal
		err := norm.Append(&b, &record.Raw{Payload: line}, &normalise.Options{Platform: platform})
		switch {
		case errors.As(err, &refused):
			continue
		case err != nil:
			return err
		}
		for i := range b.Len() {
			t.Add("default", []record.Record{b.Record(i)})
		}
	}
	if errors.Is(in.Err(), bufio.ErrTooLong) {
		return fault.Errorf(fault.TooLarge, "a line of more than %d bytes", maxTrialLine)
	}
	return in.Err()
}
