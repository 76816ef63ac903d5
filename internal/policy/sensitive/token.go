package sensitive

import "hash/crc32"

// token is the look of a vendor's token: a prefix, then from min to max bytes of
// the classes in of, and a check of the whole.
type token struct {
	prefix   string
	kind     Kind
	min, max int
	of       uint8
	check    check
}

type check uint8

const (
	noCheck   check = iota
	random          // letters and digits in a mixture that no name has
	base62CRC       // random, and GitHub's checksum tells if it is one
	hexOnly
	base32Only // of the lower case
	openAIMark
	patParts
	slackParts
	macaroon
	awsID
)

const (
	alnum = digit | upper | hexLow | low
	word  = alnum | under | dash
	most  = 512 // bytes of a token without a length of its own
)

// tokens are ordered so that a longer prefix precedes a shorter one.
var tokens = [...]token{
	{"ghp_", GitHub, 36, 36, alnum, base62CRC}, {"gho_", GitHub, 36, 36, alnum, base62CRC},
	{"ghu_", GitHub, 36, 36, alnum, base62CRC}, {"ghs_", GitHub, 36, 36, alnum, base62CRC},
	{"ghr_", GitHub, 36, 76, alnum, base62CRC}, {"github_pat_", GitHub, 82, 82, alnum | under, patParts},
	{"glpat-", GitLab, 20, 300, word, random}, {"gldt-", GitLab, 20, 300, word, random}, {"glrt-", GitLab, 20, 300, word, random},
	{"glptt-", GitLab, 40, 300, word, random}, {"glft-", GitLab, 20, 300, word, random}, {"glimt-", GitLab, 20, 300, word, random},
	{"glagent-", GitLab, 50, 300, word, random}, {"gloas-", GitLab, 64, 300, word, random}, {"glcbt-", GitLab, 20, 300, word, random},
	{"glsoat-", GitLab, 20, 300, word, random}, {"glffct-", GitLab, 20, 300, word, random},
	{"glsa_", Grafana, 41, 41, alnum | under, random}, {"glc_", Grafana, 32, 400, word, random},
	{"xoxb-", Slack, 20, 255, alnum | dash, slackParts}, {"xoxp-", Slack, 20, 255, alnum | dash, slackParts},
	{"xoxa-", Slack, 20, 255, alnum | dash, slackParts}, {"xoxr-", Slack, 20, 255, alnum | dash, slackParts},
	{"xoxo-", Slack, 20, 255, alnum | dash, slackParts}, {"xoxs-", Slack, 20, 255, alnum | dash, slackParts},
	{"xoxe-", Slack, 20, 255, alnum | dash, slackParts}, {"xapp-", Slack, 20, 255, alnum | dash, slackParts},
	{"sk_live_", Stripe, 16, 255, alnum, random}, {"sk_test_", Stripe, 16, 255, alnum, random},
	{"rk_live_", Stripe, 16, 255, alnum, random}, {"rk_test_", Stripe, 16, 255, alnum, random},
	{"whsec_", Stripe, 32, 64, alnum, random},
	{"npm_", NPM, 36, 36, alnum, base62CRC},
	{"pypi-", PyPI, 70, most, word, macaroon},
	{"sk-ant-", Anthropic, 32, 255, word, random},
	{"sk-proj-", OpenAI, 40, 255, word, random}, {"sk-svcacct-", OpenAI, 40, 255, word, random}, {"sk-admin-", OpenAI, 40, 255, word, random},
	{"sk-", OpenAI, 40, 255, word, openAIMark},
	{"dop_v1_", DigitalOcean, 64, 64, digit | hexLow, hexOnly}, {"doo_v1_", DigitalOcean, 64, 64, digit | hexLow, hexOnly},
	{"dor_v1_", DigitalOcean, 64, 64, digit | hexLow, hexOnly},
	{"dckr_pat_", Docker, 27, 36, word, random}, {"dckr_oat_", Docker, 27, 40, word, random},
	{"shpat_", Shopify, 32, 32, digit | hexLow | upper, hexOnly}, {"shpca_", Shopify, 32, 32, digit | hexLow | upper, hexOnly},
	{"shppa_", Shopify, 32, 32, digit | hexLow | upper, hexOnly}, {"shpss_", Shopify, 32, 32, digit | hexLow | upper, hexOnly},
	{"hf_", HuggingFace, 34, 37, alnum, random},
	{"dapi", Databricks, 32, 34, digit | hexLow | dash, hexOnly},
	{"NRAK-", NewRelic, 27, 27, digit | upper, random},
	{"AIza", GCPKey, 35, 35, word, random}, {"GOCSPX-", GCPKey, 28, 28, word, random},
	{"mt_", Meshtrail, 52, 52, digit | hexLow | low, base32Only},
	{"AGE-SECRET-KEY-1", PrivateKey, 58, 58, digit | upper, noCheck},
	{"AKIA", AWSAccessKey, 16, 16, digit | upper, awsID}, {"ASIA", AWSAccessKey, 16, 16, digit | upper, awsID},
	{"ABIA", AWSAccessKey, 16, 16, digit | upper, awsID}, {"ACCA", AWSAccessKey, 16, 16, digit | upper, awsID},
}

// starts are the tokens by their first byte.
var starts = func() (t [256][]token) {
	for _, k := range tokens {
		t[k.prefix[0]] = append(t[k.prefix[0]], k)
	}
	return t
}()

// token looks for a vendor's token at the start of the word v[start:end].
func (c *scan) token(start, end int) bool {
	k, n := tokenIn(c.v[start:end])
	if k == 0 || k == AWSAccessKey && c.f.who {
		return false
	}
	found := c.emit(k, start, start+n)
	if k == AWSAccessKey && c.set.Has(AWSSecretKey) {
		c.awsSecret(start + n)
	}
	return found
}

// tokenIn returns the kind and length of the token that a word begins with.
func tokenIn(w []byte) (Kind, int) {
	if len(w) == 0 {
		return 0, 0
	}
	list := starts[w[0]]
	for i := range list {
		t := &list[i]
		p := len(t.prefix)
		if len(w) < p+t.min || string(w[:p]) != t.prefix {
			continue
		}
		n := 0
		for p+n < len(w) && class[w[p+n]]&t.of != 0 {
			n++
		}
		if n < t.min || n > t.max || p+n < len(w) && class[w[p+n]]&alnum != 0 {
			continue
		}
		if t.check.ok(w[p : p+n]) {
			return t.kind, p + n
		}
	}
	return 0, 0
}

func (k check) ok(rest []byte) bool {
	switch k {
	case random:
		return mixed(rest)
	case base62CRC:
		return checksummed(rest) || mixed(rest)
	case hexOnly:
		return onlyHex(rest)
	case base32Only:
		for _, b := range rest {
			if class[b] == digit && (b < '2' || b > '7') {
				return false
			}
		}
		return mixed(rest)
	case openAIMark:
		const mark = "T3BlbkFJ"
		for i := 0; i+len(mark) <= len(rest); i++ {
			if string(rest[i:i+len(mark)]) == mark {
				return true
			}
		}
		return false
	case patParts:
		return rest[22] == '_' && mixed(rest)
	case slackParts:
		return class[rest[0]] == digit && mixed(rest)
	case macaroon:
		return string(rest[:4]) == "AgEI" || string(rest[:4]) == "AgEN"
	case awsID:
		digits := 0
		for _, b := range rest {
			if b == '0' || b == '1' || b == '8' || b == '9' {
				return awsExample(rest)
			}
			if class[b] == digit {
				digits++
			}
		}
		return digits > 0 || mixed(rest)
	}
	return true
}

// awsExample is the way out for ids that are in no base32 but look as random as
// they should: made by hand, in documentation and in tests.
func awsExample(rest []byte) bool { return mixed(rest) }

// mixed reports whether bytes look drawn at random: they are of two classes at
// least, change between them often enough, and no byte repeats more than chance
// has it.
func mixed(b []byte) bool {
	var count [256]uint8
	var seen uint8
	distinct, turns := 0, 0
	for i, x := range b {
		k := class[x]
		if k == low {
			k = hexLow
		}
		seen |= k
		if count[x] == 0 {
			distinct++
		}
		if count[x] < 255 {
			count[x]++
		}
		if i > 0 && (class[b[i-1]] == digit) != (k == digit) {
			turns++
		}
	}
	seen &= digit | upper | hexLow
	return seen&(seen-1) != 0 && distinct >= min(8, len(b)/3+1) && turns >= 1
}

func onlyHex(b []byte) bool {
	letters, digits := 0, 0
	for _, x := range b {
		if class[x] == digit {
			digits++
		} else if isHex(x) {
			letters++
		} else if x != '-' {
			return false
		}
	}
	return letters > 0 && digits > 0 && mixed(b)
}

// checksummed reports whether the last six of a token in base62 are the CRC-32 of
// the rest, as GitHub and npm make them.
func checksummed(b []byte) bool {
	if len(b) < 12 {
		return false
	}
	n := uint32(0)
	for _, x := range b[len(b)-6:] {
		d := uint32(0)
		switch {
		case class[x] == digit:
			d = uint32(x - '0')
		case class[x] == upper:
			d = uint32(x-'A') + 10
		default:
			d = uint32(x-'a') + 36
		}
		n = n*62 + d
	}
	return n == crc32.ChecksumIEEE(b[:len(b)-6])
}

// awsSecret looks for a secret access key soon after the id that belongs to it.
func (c *scan) awsSecret(i int) {
	v := c.v
	for stop := min(len(v), i+64); i < stop; i++ {
		if class[v[i]] == 0 {
			continue
		}
		from := i
		for i < len(v) && i-from <= 40 && (class[v[i]]&alnum != 0 || v[i] == '+' || v[i] == '/') {
			i++
		}
		if i-from == 40 && (i == len(v) || class[v[i]] == 0) && keyLike(v[from:i]) {
			c.emit(AWSSecretKey, from, i)
			return
		}
	}
}

// keyLike reports whether 40 of base64 have the entropy of a key: all three
// classes, and no look of a hash in hexadecimal.
func keyLike(b []byte) bool {
	var seen uint8
	for _, x := range b {
		k := class[x]
		if k == low {
			k = hexLow
		}
		seen |= k
	}
	return seen&(digit|upper|hexLow) == digit|upper|hexLow && mixed(b)
}

// dotted looks for tokens whose first part, v[start:end], is short and ends with a
// dot.
func (c *scan) dotted(start, end int) {
	v := c.v
	i := end + 1
	for i < len(v) && i-end <= most && (class[v[i]] != 0 || v[i] == '.' && i+1 < len(v) && class[v[i+1]] != 0) {
		i++
	}
	rest := v[end+1 : i]
	switch string(v[start:end]) {
	case "SG":
		if len(rest) == 66 && rest[22] == '.' && mixed(rest) {
			c.emit(SendGrid, start, i)
		}
	case "hooks":
		c.slackHook(start, end)
	case "hvs", "hvb", "hvr":
		if len(rest) >= 24 && mixed(rest) {
			c.emit(Vault, start, i)
		}
	case "s", "b":
		if len(rest) == 24 && class[rest[23]]&alnum != 0 && keyLike(rest) {
			c.emit(Vault, start, i)
		}
	case "ya29":
		if len(rest) >= 20 && mixed(rest) {
			c.emit(GCPKey, start, i)
		}
	default:
		if i-end > 60 && string(v[end:end+9]) == ".atlasv1." {
			c.emit(Vault, start, i)
		}
	}
}

// slackHook looks for the secret part of a webhook's URL after its first word.
func (c *scan) slackHook(start, end int) {
	const rest = ".slack.com/services/"
	v, i := c.v, end+len(rest)
	if i+30 > len(v) || string(v[end:i]) != rest || v[i] != 'T' {
		return
	}
	e, slashes := i, 0
	for e < len(v) && e-i < 80 && (class[v[e]]&alnum != 0 || v[e] == '/') {
		if v[e] == '/' {
			slashes++
		}
		e++
	}
	if slashes == 2 && mixed(v[i:e]) {
		c.emit(Slack, i, e)
	}
}

// azure looks for a client secret of Microsoft Entra around the tilde at v[i]: three
// of its alphabet, a digit, Q~, and 31 to 34 more.
func (c *scan) azure(i int) {
	v := c.v
	if !c.set.Has(AzureKey) || i < 5 || v[i-1] != 'Q' || class[v[i-2]] != digit || i-5 < c.end {
		return
	}
	start, end := i-5, i+1
	for end < len(v) && (class[v[end]] != 0 || v[end] == '.' || v[end] == '~') {
		end++
	}
	if n := end - i - 1; n < 31 || n > 34 || start > 0 && class[v[start-1]] != 0 || !mixed(v[start:end]) {
		return
	}
	for _, b := range v[start : i-2] {
		if class[b] == 0 && b != '.' && b != '~' {
			return
		}
	}
	c.emit(AzureKey, start, end)
}
