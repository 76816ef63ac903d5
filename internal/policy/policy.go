// Package policy decides what is kept of a record, and for how long: rules drop
// and sample records, choose their retention class, say whose they are, and
// change their values: redact, mask, hash, tokenise. It is the logging policy as
// code: the configuration is what is in force, and Document renders it.
//
// Rules are held against each record in order, as the sender wrote it. The first
// that drops or samples decides; a rule that keeps, samples in or classifies
// protects from later drops and samples; the first class counts. Then every rule
// that changes values is applied to what stays, in order, each on what the ones
// before it left. Every decision is counted under the id of its rule.
//
// A change reaches string values, names of fields, and numbers whose digits
// match. It is applied once, by pipeline, before the first write: what it covers
// is in no file. A token is in the vault, durably, before Apply returns.
//
// The package sees records and never a protocol's bytes. It owns nothing of a
// batch and keeps nothing of it beyond a call.
package policy

import (
	"sync"

	"github.com/meshtrail/meshtrail/internal/crypt"
	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/policy/sensitive"
	"github.com/meshtrail/meshtrail/internal/policy/vault"
	"github.com/meshtrail/meshtrail/internal/record"
)

// Policy is a compiled Config. It is safe for concurrent use.
type Policy struct {
	config  Config
	secrets Secrets
	dry     bool // hashes and tokens are made up: see Trial
	rules   []rule
	steps   []step // what changes values, in order
	classes map[record.Class]Retention
	byEvent bool // retention counts from the event time alone
	def     record.Class
	marks   bool // some rule that changes or sets has a condition
	sets    bool
	left    map[string]bool // what detectors leave of a value that is all secret
	pool    sync.Pool       // *session
}

// Secrets are what rules that hash and tokenise need.
type Secrets struct {
	// HashKey returns the key of a tenant's hashes, the same for ever.
	HashKey func(tenant record.TenantID) (*crypt.Key, error)
	// Vault keeps tokens.
	Vault *vault.Vault
}

// Vault is the token vault; OpenVault opens one.
type (
	Vault        = vault.Vault
	VaultOptions = vault.Options
)

// OpenVault opens the token vault in a folder, or begins one in an empty folder.
func OpenVault(o VaultOptions) (*Vault, error) { return vault.Open(o) }

// Reveal returns the value that a token of a tenant stands for, or
// fault.NotFound. Whoever calls it has checked the permission and put the act on
// record.
func Reveal(v *Vault, tenant record.TenantID, token string) (string, error) {
	t, err := vault.ParseToken(token)
	if err != nil {
		return "", err
	}
	of, err := v.Of(tenant)
	if err != nil {
		return "", err
	}
	return of.Reveal(t)
}

// NeedsVault reports whether a rule tokenises.
func (c *Config) NeedsVault() bool {
	for i := range c.Rules {
		if c.Rules[i].Tokenise != nil {
			return true
		}
	}
	return false
}

// verdict is what a rule decides of a record's staying.
type verdict uint8

const (
	stays verdict = iota // nothing
	keeps
	drops
	samples
)

type rule struct {
	id      string
	when    match.Predicate // nil: every record
	verdict verdict
	limit   uint64       // samples: a key below it stays
	class   record.Class // "": none
	set     *Set         // nil: none
	change  *change      // nil: none
}

// step is what changes values in one walk over the columns: one rule, or several
// in a row that detect.
type step struct {
	rules  []int
	detect *detection // nil: rules[0] alone
}

// Effects say what policy did besides dropping, which is in the batch's Account.
type Effects struct {
	Kept       []record.Count // records that a keep or sample rule kept, by rule
	Classified []record.Count // records, by rule
	Labelled   []record.Count // owners and classifications that were set, by rule
	Redacted   []record.Count // values and names that were changed in any way, by rule
	Untokened  []record.Count // values redacted because the vault has no room, by rule
}

// New compiles a Config. Its errors are those of Validate, and fault.Invalid for
// a rule that hashes or tokenises, which needs NewWith.
func New(c Config) (*Policy, error) { return NewWith(c, Secrets{}) }

// NewWith is New for rules that need secrets.
func NewWith(c Config, secrets Secrets) (*Policy, error) { return compile(c, secrets, false) }

func compile(c Config, secrets Secrets, dry bool) (*Policy, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	p := &Policy{config: c, secrets: secrets, dry: dry, classes: c.retentions(), def: DefaultClass, byEvent: c.RetentionFrom == fromEvent, left: map[string]bool{}}
	if c.DefaultClass != "" {
		p.def = record.Class(c.DefaultClass)
	}
	for _, r := range c.all() {
		compiled, err := r.compile(c.Language)
		if err != nil {
			return nil, err
		}
		if ch := compiled.change; ch != nil && (ch.does == hashes && secrets.HashKey == nil || ch.does == tokenises && secrets.Vault == nil) && !dry {
			return nil, fault.Errorf(fault.Invalid, "rule %s needs keys, and there are none here", r.ID)
		}
		p.add(compiled)
	}
	p.pool.New = func() any { return p.session() }
	return p, nil
}

// all returns the rules in force, in order.
func (c *Config) all() []Rule {
	if c.NoBuiltin {
		return c.Rules
	}
	return append(append([]Rule(nil), c.Rules...), Builtin()...)
}

func (p *Policy) add(r rule) {
	n := len(p.rules)
	p.rules = append(p.rules, r)
	p.sets = p.sets || r.set != nil
	p.marks = p.marks || r.set != nil || r.change != nil && r.when != nil
	if r.change == nil {
		return
	}
	if r.change.kinds == 0 {
		p.steps = append(p.steps, step{rules: []int{n}})
		return
	}
	if last := len(p.steps) - 1; last < 0 || p.steps[last].detect == nil {
		p.steps = append(p.steps, step{detect: new(detection)})
	}
	s := &p.steps[len(p.steps)-1]
	s.rules = append(s.rules, n)
	if r.change.does == redacts && !r.change.told {
		for _, k := range sensitive.Kinds() {
			p.left[string(appendMark(nil, r.change, k.Kind))] = true
		}
	}
	s.detect.add(r.change.kinds)
}

// Retention returns how long records of a class are kept. A class that the
// policy does not name is kept as long as the default class.
func (p *Policy) Retention(c record.Class) Retention {
	if r, ok := p.classes[c]; ok {
		return r
	}
	return p.classes[p.def]
}

// Classes returns the retention of every class that the policy names.
func (p *Policy) Classes() map[record.Class]Retention {
	out := make(map[record.Class]Retention, len(p.classes))
	for c, r := range p.classes {
		out[c] = r
	}
	return out
}
