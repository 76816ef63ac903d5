package pipeline

import (
	"io"

	"github.com/meshtrail/meshtrail/internal/policy"
	"github.com/meshtrail/meshtrail/internal/record"
)

// Try has a policy tried on what intake would make of each line, as Parse shows
// it. Records that intake would refuse are left out. Errors are those of Parse.
func Try(lines io.Reader, opt ParseOptions, t *policy.Trial) error {
	return read(lines, opt, func(r *record.Record, refused bool) error {
		if !refused {
			t.Add("default", []record.Record{*r})
		}
		return nil
	})
}
