package pipe

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/meshtrail/meshtrail/internal/query/logql"
)

// TestTheParserKnowsEveryFunction: a template that the parser lets through can be
// rendered, and what can be rendered is let through.
func TestTheParserKnowsEveryFunction(t *testing.T) {
	known := logql.TemplateFunctions()
	have := slices.Sorted(maps.Keys(newEnv().funcs()))
	for _, name := range known {
		if !slices.Contains(have, name) {
			t.Errorf("nobody renders %s", name)
		}
	}
	own := strings.Fields("print printf println html js urlquery " + tick) // text/template's, and ours
	for _, name := range have {
		if !slices.Contains(known, name) && !slices.Contains(own, name) {
			t.Errorf("the parser does not know %s", name)
		}
	}
}
