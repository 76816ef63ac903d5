package policy

import (
	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/record"
)

// DefaultClass is the class of a record that no rule classifies, unless the
// configuration says otherwise.
const DefaultClass record.Class = "app"

// Limits of a configuration.
const (
	maxRules   = 1000
	maxClasses = 64
	maxWhy     = 500 // bytes of what is said for people; it goes into the ledger
)

// Config is the policy of a tenant. The zero Config has the default classes and
// the built-in rules.
type Config struct {
	// Owner says who decides about the policy: a role or a team, no names of
	// people, for the ledger keeps it.
	Owner string `yaml:"owner" json:"owner,omitempty"`
	// Classes maps a retention class to how long its records are kept: 30d, 12w,
	// 13mo, 7y. Classes that it does not name keep their default: ops 30d, app
	// 90d, security 13mo, audit 7y, platform-audit 7y, deadletter 30d.
	Classes map[string]string `yaml:"classes" json:"classes,omitempty"`
	// DefaultClass is the class of a record that no rule classifies: app.
	DefaultClass string `yaml:"default_class" json:"default_class,omitempty"`
	// RetentionFrom says from when on retention counts: "arrival", the default, or
	// "event".
	RetentionFrom string `yaml:"retention_from" json:"retention_from,omitempty"`
	// NoBuiltin leaves out the built-in rules: the redaction of secrets, and the
	// classes of audit records, decisions, and access and flow logs.
	NoBuiltin bool `yaml:"no_builtin" json:"no_builtin,omitempty"`
	// MaxTokens bounds the tokens that a tenant may have; 0 is 2,000,000. Values
	// beyond it are redacted instead.
	MaxTokens int `yaml:"max_tokens" json:"max_tokens,omitempty"`
	// Rules are held against each record in this order.
	Rules []Rule `yaml:"rules" json:"rules,omitempty"`

	// Language understands a rule's Match; nil refuses every expression.
	Language Language `yaml:"-" json:"-"`
}

// A Language compiles expressions. Policy stands on a floor that knows none, so
// whoever makes the configuration hands one in: query.Selectors.
type Language interface {
	Predicate(text string) (match.Predicate, error)
}

// Rule is one rule: what it is held against, and what it does. At most one of
// Keep, Drop and Sample decides whether the record stays; at most one of Redact,
// Mask, Hash and Tokenise changes its values; Class and Set may stand beside
// either. A rule that drops does nothing else.
type Rule struct {
	// ID names the rule in counts and in what replaces a redacted text: 1 to 64
	// of [a-z0-9_-].
	ID string `yaml:"id" json:"id"`
	// Why is the reason for the rule, for people.
	Why string `yaml:"why" json:"why,omitempty"`
	// When lists conditions that must all hold; without any, all records match.
	When []Condition `yaml:"when" json:"when,omitempty"`
	// Match is an expression in a query language that must hold as well: a LogQL
	// selector with filters, or the search language.
	Match string `yaml:"match" json:"match,omitempty"`

	// Keep protects the record from the drops and samples of later rules.
	Keep bool `yaml:"keep" json:"keep,omitempty"`
	// Drop drops the record.
	Drop bool `yaml:"drop" json:"drop,omitempty"`
	// Sample keeps this share of the records, between 0 and 1, and drops the
	// others: the same ones everywhere, by trace, else by request. What it keeps,
	// it keeps as Keep does. 0 does not sample.
	Sample float64 `yaml:"sample" json:"sample,omitempty"`
	// Class is the retention class that the record gets.
	Class string `yaml:"class" json:"class,omitempty"`
	// Set says whose the record's data is and how it is classified.
	Set *Set `yaml:"set" json:"set,omitempty"`

	// Redact replaces parts of the record.
	Redact *Redact `yaml:"redact" json:"redact,omitempty"`
	// Mask leaves only a few characters of what it finds.
	Mask *Mask `yaml:"mask" json:"mask,omitempty"`
	// Hash replaces what it finds by a keyed hash.
	Hash *Hash `yaml:"hash" json:"hash,omitempty"`
	// Tokenise replaces what it finds by a random token of the vault.
	Tokenise *Tokenise `yaml:"tokenise" json:"tokenise,omitempty"`
}

// Condition is one condition on a field, by any name that a query may use.
// Exactly one of Is, In and Regex is given; with none the field must be there.
type Condition struct {
	Field string   `yaml:"field" json:"field"`
	Is    string   `yaml:"is" json:"is,omitempty"`       // exactly this text
	In    []string `yaml:"in" json:"in,omitempty"`       // one of these texts
	Regex string   `yaml:"regex" json:"regex,omitempty"` // matches anywhere, RE2 syntax
	Not   bool     `yaml:"not" json:"not,omitempty"`     // holds when the rest does not
}

// Set gives records the fields data.owner and data.classification. The first
// rule that sets one decides, whatever the sender says.
type Set struct {
	Owner          string `yaml:"owner" json:"owner,omitempty"`
	Classification string `yaml:"classification" json:"classification,omitempty"` // as public, internal, confidential, restricted
}

// Names of the fields that rules set.
const (
	OwnerField          = "data.owner"
	ClassificationField = "data.classification"
)

// Redact says what is replaced, by what, and where. Exactly one of Pattern,
// Literal and Detect is given, or none and Fields: then whole values are replaced.
type Redact struct {
	Pattern string `yaml:"pattern" json:"pattern,omitempty"` // RE2 syntax
	Literal string `yaml:"literal" json:"literal,omitempty"` // exactly this text, at least 4 bytes
	// Detect names detectors: secrets, personal, all, or kinds of docs/redaction.md.
	Detect []string `yaml:"detect" json:"detect,omitempty"`
	// Replace is what stands instead: "[redacted:ID]" by default, and of a
	// detector "[redacted:ID:KIND]". $1 and ${name} stand for groups of Pattern.
	Replace string `yaml:"replace" json:"replace,omitempty"`
	// Fields limits the redaction to fields, by any name that a query may use.
	// Without it every value is searched, and every field name.
	Fields []string `yaml:"fields" json:"fields,omitempty"`
}

// Mask hides what it finds behind asterisks, but for the characters that it is
// told to leave. Where fewer than four would be hidden all are.
type Mask struct {
	Pattern string   `yaml:"pattern" json:"pattern,omitempty"` // with a group: only the first is masked
	Detect  []string `yaml:"detect" json:"detect,omitempty"`
	Fields  []string `yaml:"fields" json:"fields,omitempty"`
	First   int      `yaml:"first" json:"first,omitempty"` // characters to leave at the beginning
	Last    int      `yaml:"last" json:"last,omitempty"`   // and at the end
	// Format keeps the shape: what is neither letter nor digit stays, a letter
	// becomes x or X and a digit 0. First and Last count letters and digits.
	Format bool `yaml:"format" json:"format,omitempty"`
}

// Hash replaces what it finds by "hash_" and 32 hexadecimal digits of
// HMAC-SHA-256 under a key of the tenant: equal values have equal hashes, in
// every field and rule, and who lacks the key can neither compute nor try them.
type Hash struct {
	Pattern string   `yaml:"pattern" json:"pattern,omitempty"` // with a group: only the first is hashed
	Detect  []string `yaml:"detect" json:"detect,omitempty"`
	Fields  []string `yaml:"fields" json:"fields,omitempty"`
}

// Tokenise replaces what it finds by a random token, from which the vault gives
// the value back to whoever has the permission tokens.reveal. Equal values of a
// tenant have equal tokens.
type Tokenise struct {
	Pattern string   `yaml:"pattern" json:"pattern,omitempty"` // with a group: only the first is tokenised
	Detect  []string `yaml:"detect" json:"detect,omitempty"`
	Fields  []string `yaml:"fields" json:"fields,omitempty"`
}
