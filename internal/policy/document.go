package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/meshtrail/meshtrail/internal/policy/sensitive"
)

// Readers are the roles that may do something with records. Package access knows
// them, and policy does not.
type Readers struct {
	Logs   []string // read records
	Audit  []string // read those of class audit
	Reveal []string // turn tokens back
	Admin  []string // look after the server
}

// A Document is a policy in words: what is logged, what nobody may read, who may
// read the rest, how long it is kept, and who decides. It is made of what is in
// force, so it cannot differ from it. Texts that a rule looks for literally may
// be secrets themselves and are not in it.
type Document struct {
	SHA256        string         `json:"sha256"` // of the policy in its canonical form
	Owner         string         `json:"owner"`  // who decides
	DefaultClass  string         `json:"defaultClass"`
	RetentionFrom string         `json:"retentionFrom"` // arrival or event
	Classes       []DocumentItem `json:"classes"`       // name and retention
	Rules         []DocumentRule `json:"rules"`         // in order
	Detectors     []DocumentKind `json:"detectors"`     // that a rule uses
	Roles         []DocumentRole `json:"roles"`
}

// DocumentItem is a retention class.
type DocumentItem struct {
	Name string `json:"name"`
	Keep string `json:"keep"`
}

// DocumentRule is a rule in words.
type DocumentRule struct {
	ID      string   `json:"id"`
	Builtin bool     `json:"builtin"`
	When    string   `json:"when"` // "every record", or a predicate
	Does    []string `json:"does"`
	Why     string   `json:"why"`
}

// DocumentKind is a detector.
type DocumentKind struct {
	Name      string   `json:"name"`
	Class     string   `json:"class"`
	Meaning   string   `json:"meaning"`
	Validator string   `json:"validator"`
	Source    string   `json:"source"`
	Rules     []string `json:"rules"`
}

// DocumentRole says who may.
type DocumentRole struct {
	May   string   `json:"may"`
	Roles []string `json:"roles"`
}

// SHA256 returns the hash of the policy in its canonical form, in hex: of what is
// in force, built-in rules included.
func (p *Policy) SHA256() string {
	c := p.config
	c.Rules, c.DefaultClass = c.all(), string(p.def)
	c.Classes = map[string]string{}
	for name, keep := range p.classes {
		c.Classes[string(name)] = keep.String()
	}
	data, err := json.Marshal(c)
	if err != nil {
		return "" // a Config has nothing that could fail
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// Document renders the policy.
func (p *Policy) Document(who Readers) *Document {
	d := &Document{SHA256: p.SHA256(), Owner: p.config.Owner, DefaultClass: string(p.def), RetentionFrom: fromArrival, Detectors: []DocumentKind{}}
	if p.byEvent {
		d.RetentionFrom = fromEvent
	}
	for name, keep := range p.classes {
		d.Classes = append(d.Classes, DocumentItem{string(name), keep.String()})
	}
	slices.SortFunc(d.Classes, func(a, b DocumentItem) int { return strings.Compare(a.Name, b.Name) })
	used := map[sensitive.Kind][]string{}
	for i, r := range p.config.all() {
		d.Rules = append(d.Rules, DocumentRule{ID: r.ID, Builtin: strings.HasPrefix(r.ID, builtinPrefix), When: p.rules[i].conditionText(), Does: r.does(), Why: r.Why})
		if ch := p.rules[i].change; ch != nil {
			for _, k := range sensitive.Kinds() {
				if ch.kinds.Has(k.Kind) {
					used[k.Kind] = append(used[k.Kind], r.ID)
				}
			}
		}
	}
	for _, k := range sensitive.Kinds() {
		if rules := used[k.Kind]; rules != nil {
			d.Detectors = append(d.Detectors, DocumentKind{k.Name, k.Class, k.Meaning, k.Validator, k.Source, rules})
		}
	}
	d.Roles = []DocumentRole{
		{"read records of their tenant", who.Logs}, {"read audit records", who.Audit},
		{"turn tokens back into values, each time on record", who.Reveal}, {"change this policy's effect, with the configuration and a restart", who.Admin},
	}
	return d
}

func (r *rule) conditionText() string {
	if r.when == nil {
		return "every record"
	}
	return r.when.String()
}

// does says what a rule does, action by action.
func (r *Rule) does() (out []string) {
	add := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	switch {
	case r.Drop:
		add("drops the record")
	case r.Keep:
		add("keeps the record, whatever later rules drop or sample")
	case r.Sample > 0:
		add("keeps %g %% of the records, whole traces, and drops the others", r.Sample*100)
	}
	if r.Class != "" {
		add("class %s", r.Class)
	}
	if s := r.Set; s != nil && s.Owner != "" {
		add("owner %s", s.Owner)
	}
	if s := r.Set; s != nil && s.Classification != "" {
		add("classification %s", s.Classification)
	}
	for _, f := range r.changes() {
		how := ""
		switch {
		case f.name == "redact" && r.Redact.Replace != "":
			how = fmt.Sprintf(", leaving %q", r.Redact.Replace)
		case f.name == "mask":
			how = fmt.Sprintf(", leaving the first %d and last %d characters", r.Mask.First, r.Mask.Last)
			if r.Mask.Format {
				how += " and the shape"
			}
		}
		add("%s %s%s", verbs[f.name], f.text(), how)
	}
	return out
}

var verbs = map[string]string{"redact": "redacts", "mask": "masks", "hash": "hashes (keyed, by tenant)", "tokenise": "replaces by tokens of the vault"}

func (f *finder) text() string {
	what := "whole values"
	switch {
	case f.literal != "":
		what = fmt.Sprintf("a text of %d bytes that is not shown", len(f.literal))
	case f.pattern != "":
		what = fmt.Sprintf("what matches %q", f.pattern)
	case len(f.detect) > 0:
		what = "what these detectors find: " + strings.Join(f.detect, ", ")
	}
	if len(f.fields) == 0 {
		return what + ", in every field and name"
	}
	if n := len(f.fields); n > 40 {
		return fmt.Sprintf("%s of %d fields, %s …", what, n, strings.Join(f.fields[:12], ", "))
	}
	return what + " of the fields " + strings.Join(f.fields, ", ")
}

// hashLine begins the one line of the rendering that changes with the hash alone.
const hashLine = "SHA-256 of the policy: "

// Markdown renders the document as a page. The same policy gives the same bytes.
func (d *Document) Markdown() []byte {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	row := func(cells ...string) {
		for i, c := range cells {
			cells[i] = strings.NewReplacer("|", `\|`, "\n", " ", "\r", " ").Replace(c)
		}
		line("| %s |", strings.Join(cells, " | "))
	}
	owner := d.Owner
	if owner == "" {
		owner = "nobody is named (policy.owner)"
	}
	line("# Logging policy\n\n%s%s\n\nWho decides: %s\n", hashLine, d.SHA256, owner)
	line("## What is kept, and how long\n\nRetention counts from %s. A record that no rule classifies gets the class %s.\n", d.RetentionFrom, d.DefaultClass)
	line("| class | kept |\n|---|---|")
	for _, c := range d.Classes {
		row(c.Name, c.Keep)
	}
	line("\n## Rules, in order\n\nRules are applied before the first write. The first that drops or samples a record decides, unless one before it keeps or classifies the record; the first class counts; every rule that changes values is applied to what stays. What a rule redacts, masks, hashes or tokenises is in no file as it was.\n")
	line("| rule | held against | does | why |\n|---|---|---|---|")
	for _, r := range d.Rules {
		row(r.ID, r.When, strings.Join(r.Does, "; "), r.Why)
	}
	line("\n## Who may\n\n| may | roles |\n|---|---|")
	for _, r := range d.Roles {
		row(r.May, strings.Join(r.Roles, ", "))
	}
	line("\n## Detectors in use\n")
	if len(d.Detectors) == 0 {
		line("None.")
		return []byte(b.String())
	}
	line("| detector | class | finds | validated by | source | rules |\n|---|---|---|---|---|---|")
	for _, k := range d.Detectors {
		row(k.Name, k.Class, k.Meaning, k.Validator, k.Source, strings.Join(k.Rules, ", "))
	}
	return []byte(b.String())
}

// maxDiff bounds the lines that are compared one with each other.
const maxDiff = 3000

// Diff returns the lines of two renderings that went ("- …") and that came
// ("+ …"), in order. Lines that say nothing, and the hash, are left out.
func Diff(was, is []byte) []string {
	a, b := lines(was), lines(is)
	for len(a) > 0 && len(b) > 0 && a[0] == b[0] {
		a, b = a[1:], b[1:]
	}
	for len(a) > 0 && len(b) > 0 && a[len(a)-1] == b[len(b)-1] {
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	var out []string
	if len(a) > maxDiff || len(b) > maxDiff {
		for _, l := range a {
			out = append(out, "- "+l)
		}
		for _, l := range b {
			out = append(out, "+ "+l)
		}
		return out
	}
	// same[i][j] is the length of the longest common part of a[i:] and b[j:].
	same := make([][]uint16, len(a)+1)
	for i := range same {
		same[i] = make([]uint16, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				same[i][j] = same[i+1][j+1] + 1
			} else {
				same[i][j] = max(same[i+1][j], same[i][j+1])
			}
		}
	}
	i, j := 0, 0
	for i < len(a) || j < len(b) {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			i, j = i+1, j+1
		case i < len(a) && (j == len(b) || same[i+1][j] >= same[i][j+1]):
			out = append(out, "- "+a[i])
			i++
		default:
			out = append(out, "+ "+b[j])
			j++
		}
	}
	return out
}

func lines(text []byte) (out []string) {
	for l := range strings.Lines(string(text)) {
		if l = strings.TrimSpace(l); l != "" && !strings.HasPrefix(l, hashLine) {
			out = append(out, l)
		}
	}
	return out
}

// HashOf returns the hash that a rendering says it is of.
func HashOf(markdown []byte) string {
	for l := range strings.Lines(string(markdown)) {
		if rest, ok := strings.CutPrefix(l, hashLine); ok {
			return strings.TrimSpace(rest)
		}
	}
	return ""
}
