package sensitive

import "math/bits"

// Kind is one kind of sensitive data. The zero Kind is none.
type Kind uint8

// The kinds. Their numbers are not written anywhere; their names are.
const (
	Email Kind = iota + 1
	IPv4
	IPv6
	Phone
	PAN
	IBAN
	JWT
	Bearer
	Basic
	Cookie
	PrivateKey
	URLPassword
	Assignment
	K8sSecret
	AWSAccessKey
	AWSSecretKey
	GCPKey
	AzureKey
	GitHub
	GitLab
	Slack
	Stripe
	NPM
	PyPI
	OpenAI
	Anthropic
	SendGrid
	DigitalOcean
	Vault
	Docker
	Shopify
	HuggingFace
	Grafana
	Databricks
	Telegram
	NewRelic
	Meshtrail
	kinds // one past the last
)

// Classes of kinds.
const (
	Secret    = "secret"    // whoever reads it can act as somebody
	Personal  = "personal"  // names or reaches a person
	Financial = "financial" // moves money
)

// Info describes a kind. The table in docs/redaction.md is made of it.
type Info struct {
	Kind      Kind
	Name      string
	Class     string // Secret, Personal or Financial
	Meaning   string
	Validator string // what must hold besides the look
	Source    string // who says so
}

//go:generate go test -count=1 -run ^TestDocs$ . -update

// infos is ordered by Kind.
var infos = [...]Info{
	{Email, "email", Personal, "e-mail address", "dot-atom of at most 64 bytes, a domain of valid labels, a top-level domain of letters that is no file's ending and no cluster's", "RFC 5321 §4.1.2, RFC 1035 §2.3.1"},
	{IPv4, "ipv4", Personal, "IPv4 address", "four decimal octets; not of 0/8, 127/8 or from 224 up; not a version of a product", "RFC 791, RFC 6890"},
	{IPv6, "ipv6", Personal, "IPv6 address", "parses, and is global, unique local or link-local", "RFC 4291, RFC 5952"},
	{Phone, "phone", Personal, "telephone number", "E.164 with a calling code that is assigned and digits enough for it; national forms where a name or a word before says so, or with a North American area code in its usual form", "ITU-T E.164, NANPA"},
	{PAN, "pan", Financial, "payment card number", "an issuer's range, that issuer's length, Luhn's digit", "ISO/IEC 7812-1"},
	{IBAN, "iban", Financial, "bank account number", "the country's length and layout, remainder 1 of 97", "ISO 13616, IBAN registry"},
	{JWT, "jwt", Secret, "JSON web token", "the header decodes to a JSON object that has alg", "RFC 7519, RFC 7515"},
	{Bearer, "bearer", Secret, "credential of a Bearer header", "token68 that is no plain word, or any after Authorization", "RFC 6750 §2.1"},
	{Basic, "basic", Secret, "credential of a Basic header", "base64 of text with a colon", "RFC 7617 §2"},
	{Cookie, "cookie", Secret, "value of a Cookie or Set-Cookie header", "follows the header's name, or is in a field named so", "RFC 6265"},
	{PrivateKey, "private-key", Secret, "private key", "PEM armour whose label ends with PRIVATE KEY; AGE-SECRET-KEY-1; PuTTY's Private-Lines", "RFC 7468, age"},
	{URLPassword, "url-password", Secret, "password within a URL", "between scheme://user: and @", "RFC 3986 §3.2.1"},
	{Assignment, "secret-assignment", Secret, "value given to a secret's name (password=…, \"api_key\":\"…\")", "the name ends with a secret's word; the value is no placeholder", "names as used by programs"},
	{K8sSecret, "k8s-secret", Secret, "body of a Kubernetes Secret", "value of data or stringData of kind Secret, or base64 below a request's or a response's data", "Kubernetes API, core/v1 Secret"},
	{AWSAccessKey, "aws-access-key", Secret, "AWS access key id", "known prefix and 16 of base32", "AWS IAM, unique identifiers"},
	{AWSSecretKey, "aws-secret-key", Secret, "AWS secret access key", "40 of base64 of high entropy, after its name or its key id", "AWS IAM"},
	{GCPKey, "gcp-key", Secret, "Google API key, OAuth secret or token", "AIza and 35, GOCSPX- and 28, ya29. and 20 or more", "Google Cloud"},
	{AzureKey, "azure-key", Secret, "Azure account key, SAS signature or client secret", "AccountKey= or SharedAccessKey= with 32 or 64 bytes of base64, sig= with 32 bytes, or a secret with Q~ in its place", "Microsoft Entra, Azure Storage"},
	{GitHub, "github-token", Secret, "GitHub token", "prefix and 36 of base62 whose last six are the CRC-32 of the rest, or which look random all the same; github_pat_ with both parts", "GitHub, token formats"},
	{GitLab, "gitlab-token", Secret, "GitLab token", "prefix (glpat-, gldt-, glrt- …) and 20 or more", "GitLab, token prefixes"},
	{Slack, "slack-token", Secret, "Slack token or webhook", "xoxb-, xoxp- … with numbers first; hooks.slack.com/services/T…/B…/…", "Slack, token types"},
	{Stripe, "stripe-key", Secret, "Stripe secret key", "sk_, rk_ with live_ or test_; whsec_", "Stripe, API keys"},
	{NPM, "npm-token", Secret, "npm token", "npm_ and 36 of base62, as GitHub's", "GitHub, npm token format"},
	{PyPI, "pypi-token", Secret, "PyPI token", "pypi- and a macaroon that names its host", "PyPI, API tokens"},
	{OpenAI, "openai-key", Secret, "OpenAI key", "sk- with T3BlbkFJ in its middle, or sk-proj-, sk-svcacct-, sk-admin-", "OpenAI"},
	{Anthropic, "anthropic-key", Secret, "Anthropic key", "sk-ant- with its version", "Anthropic"},
	{SendGrid, "sendgrid-key", Secret, "SendGrid key", "SG. with parts of 22 and 43", "SendGrid"},
	{DigitalOcean, "digitalocean-token", Secret, "DigitalOcean token", "dop_v1_, doo_v1_, dor_v1_ and 64 of hexadecimal", "DigitalOcean"},
	{Vault, "vault-token", Secret, "HashiCorp Vault or Terraform token", "hvs., hvb., hvr. and 24 or more; atlasv1", "HashiCorp Vault"},
	{Docker, "docker-token", Secret, "Docker Hub token", "dckr_pat_ and 27, dckr_oat_ and 32", "Docker"},
	{Shopify, "shopify-token", Secret, "Shopify token", "shpat_, shpca_, shppa_, shpss_ and 32 of hexadecimal", "Shopify"},
	{HuggingFace, "huggingface-token", Secret, "Hugging Face token", "hf_ and 34 letters and digits", "Hugging Face"},
	{Grafana, "grafana-token", Secret, "Grafana token", "glsa_ with 32 and a checksum, glc_ with base64 of JSON", "Grafana"},
	{Databricks, "databricks-token", Secret, "Databricks token", "dapi and 32 of hexadecimal", "Databricks"},
	{Telegram, "telegram-token", Secret, "Telegram bot token", "8 to 10 digits, a colon, AA and 33", "Telegram Bot API"},
	{NewRelic, "newrelic-key", Secret, "New Relic key", "NRAK- and 27 of base36", "New Relic"},
	{Meshtrail, "meshtrail-token", Secret, "token of this program", "mt_ and 52 of base32", "docs/operate.md"},
}

// String returns the name of k; "" of none.
func (k Kind) String() string {
	if k == 0 || k >= kinds {
		return ""
	}
	return infos[k-1].Name
}

// Class returns Secret, Personal or Financial; "" of none.
func (k Kind) Class() string {
	if k == 0 || k >= kinds {
		return ""
	}
	return infos[k-1].Class
}

// KindOf returns the kind of a name.
func KindOf(name string) (Kind, bool) {
	for i := range infos {
		if infos[i].Name == name {
			return infos[i].Kind, true
		}
	}
	return 0, false
}

// Kinds returns what is known of each kind, in their order.
func Kinds() []Info { return append([]Info(nil), infos[:]...) }

// Set is a set of kinds.
type Set uint64

// SetOf returns the set of some kinds.
func SetOf(list ...Kind) Set {
	var s Set
	for _, k := range list {
		s |= 1 << k
	}
	return s
}

// All is every kind.
func All() Set { return 1<<kinds - 2 }

// Secrets is every kind of class Secret.
func Secrets() Set { return ofClass(Secret) }

// PersonalData is every kind of class Personal or Financial.
func PersonalData() Set { return ofClass(Personal) | ofClass(Financial) }

func ofClass(class string) Set {
	var s Set
	for i := range infos {
		if infos[i].Class == class {
			s |= 1 << infos[i].Kind
		}
	}
	return s
}

// Has reports whether k is in s.
func (s Set) Has(k Kind) bool { return s>>k&1 != 0 }

// Len returns how many kinds are in s.
func (s Set) Len() int { return bits.OnesCount64(uint64(s)) }
