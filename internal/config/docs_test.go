package config

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

// TestDocumentsShowValidConfigurations reads every block of YAML in the
// documents: ours as serve or agent would, another program's as YAML.
func TestDocumentsShowValidConfigurations(t *testing.T) {
	readings := map[string]func([]byte) error{
		"server": func(b []byte) error { _, err := Parse(b); return err },
		"agent":  func(b []byte) error { _, err := ParseAgent(b); return err },
		"other":  func(b []byte) error { var v map[string]any; return yaml.Unmarshal(b, &v) },
	}
	// The first key tells whose configuration a block is.
	kinds := map[string]string{
		"policy": "server", "formats": "server", "tokens": "server", "sources": "server", "holds": "server", "server": "server", "store": "server", "report": "server", "query": "server", "receivers": "server",
		"data": "agent", "inputs": "agent",
		"extensions": "other", "service": "other", "output.elasticsearch": "other", "clients": "other", "exporters": "other", "access_log": "other", "output.logstash": "other",
		"api_key": "other", "outputs": "other", "apiVersion": "other", "sinks": "other",
	}
	seen := map[string]int{}
	for name, text := range documents(t) {
		for i, block := range yamlBlocks(text) {
			first := block
			if strings.HasPrefix(first, "# ") { // says whose it is, to people
				_, first, _ = strings.Cut(first, "\n")
			}
			key, _, _ := strings.Cut(first, ":")
			kind, ok := kinds[key]
			if !ok {
				t.Errorf("%s: whose is block %d, which begins with %q?", name, i+1, key)
				continue
			}
			seen[kind]++
			if err := readings[kind]([]byte(block)); err != nil {
				t.Errorf("%s, block %d (%s):\n%s\n%v", name, i+1, kind, block, err)
			}
		}
	}
	for kind := range readings {
		if seen[kind] == 0 {
			t.Errorf("no block of the kind %s was found", kind)
		}
	}
}

// TestDocumentsLinkToWhatIsThere follows every link from one document to another.
func TestDocumentsLinkToWhatIsThere(t *testing.T) {
	links := regexp.MustCompile(`\]\(([^)#:]+)(#[^)]*)?\)`)
	n := 0
	for name, text := range documents(t) {
		for _, link := range links.FindAllStringSubmatch(text, -1) {
			n++
			if _, err := os.Stat(filepath.Join(root, filepath.Dir(name), link[1])); err != nil {
				t.Errorf("%s links to %s, which is not there", name, link[1])
			}
		}
	}
	if n < 50 {
		t.Errorf("only %d links were found", n)
	}
}

const root = "../.."

// documents returns the text of everything that is written for people, by its
// path from the root.
func documents(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	add := func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".md" {
			return err
		}
		text, err := os.ReadFile(filepath.Join(root, path))
		out[path] = string(text)
		return err
	}
	for _, dir := range []string{"docs", "spec", "README.md", "ARCHITECTURE.md", "SECURITY.md"} {
		if err := fs.WalkDir(os.DirFS(root), dir, add); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// yamlBlocks returns what stands between ```yaml and ```.
func yamlBlocks(text string) []string {
	var out []string
	for {
		_, rest, ok := strings.Cut(text, "```yaml\n")
		if !ok {
			return out
		}
		block, after, _ := strings.Cut(rest, "```")
		out, text = append(out, block), after
	}
}
