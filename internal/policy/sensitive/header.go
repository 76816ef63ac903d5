package sensitive

import "bytes"

// short looks at a word for the reasons in why.
func (c *scan) short(start, end int, why uint8) {
	if why&asGroup != 0 && end-start == 4 {
		if c.v[end] == ':' {
			c.ipv6(start)
		} else {
			c.spacedIBAN(start)
		}
		if c.end > end {
			return
		}
	}
	if why&asStart != 0 {
		c.dotted(start, end)
		return
	}
	if end-start == 2 && c.v[start] == '-' && c.v[start+1] == 'u' && c.v[end] == ' ' {
		c.userOption(end)
		return
	}
	if why&asName == 0 || end-start < 3 || class[c.v[end-1]] != digit && byTail[tailOf(c.v[start:end])] == 0 {
		return
	}
	if ev := evidenceOf(c.v[max(start, end-64):end]); ev != noEvidence && !c.replaced(start, end) {
		c.evident(ev, start, end)
	}
}

// userOption looks for the password of -u user:password, as curl has it.
func (c *scan) userOption(end int) {
	v, i, pass := c.v, end, 0
	for i < len(v) && i-end < 4 && (v[i] == ' ' || v[i] == '"' || v[i] == '\'') {
		i++
	}
	for ; i < len(v) && !delimits[v[i]]; i++ {
		if v[i] == ':' && pass == 0 {
			pass = i + 1
		} else if v[i] == '/' && pass == 0 {
			return
		}
	}
	if pass != 0 && !number16(v[pass:i]) && !placeholder(v[pass:i]) {
		c.emit(Assignment, pass, i)
	}
}

// replaced reports whether v[start:end] is the name in what stands for a replaced
// text: [redacted:bearer] announces nothing.
func (c *scan) replaced(start, end int) bool {
	v := c.v
	if end >= len(v) || v[end] != ']' || start < 2 || v[start-1] != ':' {
		return false
	}
	for i := start - 2; i >= 0 && start-i < 16; i-- {
		if v[i] == '[' {
			return true
		}
	}
	return false
}

// evident follows up on a name.
func (c *scan) evident(ev evidence, start, end int) {
	switch ev {
	case ofPEM:
		c.pem(start, end)
	case ofPuTTY:
		if end < len(c.v) && c.v[end] == ':' {
			c.emit(PrivateKey, end+1, len(c.v))
		}
	case ofBearer:
		c.bearer(start, end)
	case ofBasic:
		c.basic(end)
	case ofPhone:
		c.national(end)
	case ofIBAN:
		c.namedIBAN(end)
	case ofCard:
		c.card = end + 32
	case ofKube:
		if c.kind(start) {
			c.secret = true
			return
		}
		c.assign(ofToken, start, end)
	default:
		c.assign(ev, start, end)
	}
}

// kind reports whether the word at v[start] is the value of kind.
func (c *scan) kind(start int) bool {
	i := start
	for i > 0 && start-i < 8 && class[c.v[i-1]] == 0 {
		i--
	}
	return i >= 4 && i < start && foldEqual(c.v[i-4:i], "kind")
}

// assignment says how a value is given to a name.
type assignment struct {
	start, end int
	quoted     bool
	loose      bool // by a colon, as prose may have it too
}

// assign looks for the value that the name v[start:end] is given.
func (c *scan) assign(ev evidence, start, end int) {
	most := mostRead*len(c.v) + leastRead
	if c.reread > most && !c.set.Has(Assignment) {
		return
	}
	a, ok := c.assigned(ev, start, end)
	if !ok || a.start >= a.end {
		return
	}
	// In token=token=token=… each value holds all that follow. Whoever writes such
	// loses the rest of it, and not the reader its time.
	if c.reread += a.end - a.start; c.reread > most && c.emit(Assignment, a.start, a.end) {
		return
	}
	c.value(ev, a)
}

// How often a text may be read again as the value of a name within another value.
const (
	mostRead  = 16
	leastRead = 64 << 10
)

// assigned finds what is given to a name: name=x, "name": "x", 'name' => 'x',
// <name>x<, --name x, "name","value":"x".
func (c *scan) assigned(ev evidence, start, end int) (a assignment, ok bool) {
	v, i := c.v, end
	for i < len(v) && i-end < 6 && (v[i] == '"' || v[i] == '\'' || v[i] == '\\' || v[i] == ']' || v[i] == '`' || v[i] == '*') {
		i++
	}
	closed := i > end
	for i < len(v) && i-end < 10 && (v[i] == ' ' || v[i] == '\t') {
		i++
	}
	if i >= len(v) {
		return a, false
	}
	switch flag := v[start] == '-'; {
	case v[i] == '=':
		if i++; i < len(v) && (v[i] == '=' || v[i] == '~') {
			return a, false
		}
		if i < len(v) && v[i] == '>' {
			i++
		}
	case v[i] == ':':
		a.loose = !closed
		if i++; i < len(v) && v[i] == ':' || a.loose && start > 0 && v[start-1] == ':' {
			return a, false // a scope, or the name of a resource: arn:aws:…:secret:x
		}
		if i < len(v) && v[i] == '=' {
			i++
		}
	case v[i] == '>':
		if i != end || !opensTag(v, start) {
			return a, false
		}
		i++
	case i > end && !closed && opensTag(v, start): // <password type="text">
		n := bytes.IndexAny(v[i:min(len(v), i+256)], "<>")
		if n <= 0 || v[i+n] == '<' || v[i+n-1] == '/' {
			return a, false
		}
		i += n + 1
	case v[i] == ',' && closed:
		if i = afterComma(v, i+1, flag || ev == ofAuth || ev == ofCookie); i < 0 {
			return a, false
		}
	case flag && i > end && !closed:
	case flag && closed:
		if i = afterArgument(v, i); i < 0 {
			return a, false
		}
	default:
		return a, false
	}
	a.start = i
	c.extent(&a, ev == ofAuth || ev == ofCookie)
	return a, true
}

// opensTag reports whether v[start] is the name of a tag of XML that begins there,
// perhaps after its namespace.
func opensTag(v []byte, start int) bool {
	if start > 1 && v[start-1] == ':' {
		from := start
		for start--; start > 0 && from-start < 32 && class[v[start-1]] != 0; start-- {
		}
	}
	return start > 0 && v[start-1] == '<'
}

// afterArgument returns where the value begins of the next argument that Linux'
// audit names: a1="--password" a2=…; -1 for none.
func afterArgument(v []byte, i int) int {
	from := i + 1
	for i++; i < len(v) && i-from < 6 && class[v[i]] == digit; i++ {
	}
	if i == from || i >= len(v) || v[i] != '=' || v[from-1] != 'a' {
		return -1
	}
	return i + 1
}

// afterComma returns where the value begins that follows a name in a list: after
// "value": or, when direct, at the next string; -1 for none.
func afterComma(v []byte, i int, direct bool) int {
	from := i
	for i < len(v) && i-from < 6 && (v[i] == ' ' || v[i] == '\\' || v[i] == '"' || v[i] == '\'' || v[i] == '\n') {
		i++
	}
	if i == from || i+6 >= len(v) {
		return -1
	}
	if foldEqual(v[i:i+5], "value") && class[v[i+5]] == 0 {
		for i += 5; i < len(v) && i-from < 24 && v[i] != ':'; i++ {
		}
		if i >= len(v) || v[i] != ':' {
			return -1
		}
		return afterKind(v, i+1)
	}
	if direct {
		return from
	}
	return -1
}

// afterKind returns where the value begins in {"stringValue":…, which is how OTLP
// writes one that begins at v[i], or i.
func afterKind(v []byte, i int) int {
	j := i
	for j < len(v) && j-i < 4 && (v[j] == ' ' || v[j] == '\n') {
		j++
	}
	if j >= len(v) || v[j] != '{' {
		return i
	}
	for from := j; j < len(v) && j-from < 24; j++ {
		if v[j] == ':' {
			return j + 1
		}
	}
	return i
}

// extent finds both ends of the value that begins at a.start or after blanks and
// quotes there. A header's goes to the end of its line.
func (c *scan) extent(a *assignment, header bool) {
	v, i, a0 := c.v, a.start, a.start
	for i < len(v) && i-a.start < 8 && (v[i] == ' ' || v[i] == '\t' || v[i] == '[' && i+1 < len(v) && (v[i+1] == '"' || v[i+1] == '\\' || v[i+1] == '\'')) {
		i++
	}
	open := i
	for open < len(v) && v[open] == '\\' && open-i < 8 {
		open++
	}
	quote, escaped := byte(0), open > i
	if open < len(v) && (v[open] == '"' || v[open] == '\'' || v[open] == '`') {
		quote = v[open]
		i = open + 1
	}
	a.start, a.quoted = i, quote != 0
	switch {
	case header && quote == 0 && i == a0 && i < len(v) && v[i] == '[': // as Go prints a map of headers
		a.start, a.quoted = i+1, true
		for i < len(v) && v[i] != ']' && v[i] != '\n' {
			i++
		}
	case quote != 0 && escaped:
		for i < len(v) && v[i] != quote && v[i] != '\\' {
			i++
		}
	case quote != 0:
		for i < len(v) && v[i] != quote {
			if v[i] == '\\' {
				i++
			}
			i++
		}
		i = min(i, len(v))
	case header:
		for i < len(v) && v[i] != '\n' && v[i] != '\r' && v[i] != '"' && v[i] != '\'' && v[i] != '\\' {
			i++
		}
	default:
		for i < len(v) && !delimits[v[i]] {
			i++
		}
	}
	a.end = i
}

// delimits are the bytes that end a value without quotes.
var delimits = func() (t [256]bool) {
	for _, b := range []byte(" \t\r\n,;&\"'`)}]<>\\|") {
		t[b] = true
	}
	return t
}()

// value judges what a name is given.
func (c *scan) value(ev evidence, a assignment) {
	v := c.v[a.start:a.end]
	if placeholder(v) {
		return
	}
	switch ev {
	case ofAuth:
		c.credential(a.start, a.end, a.quoted || !a.loose)
		return
	case ofCookie:
		if a.quoted || tokenLike(v) || hasByte(v, '=') {
			c.emit(Cookie, a.start, a.end)
		}
		return
	case ofToken:
		if !tokenLike(v) {
			return
		}
	case ofSAS:
		if n := len(v); n >= 43 && n <= 60 && mixed(v) {
			c.emit(AzureKey, a.start, a.end)
		}
		return
	case ofDirectory:
		if len(v) < 4 || v[0] == '/' || v[0] == '.' || v[0] == '~' || number16(v) || v[1] == ':' && v[2] == '\\' {
			return
		}
	}
	if a.loose && !a.quoted && !c.said(a.end, v) {
		return
	}
	k := Assignment
	switch {
	case ev == ofAWSSecret && len(v) == 40 && keyLike(v):
		k = AWSSecretKey
	case ev == ofAzureKey && len(v) >= 40 && mixed(v):
		k = AzureKey
	default:
		if own, n := c.own(a.start, a.end); n == len(v) {
			k = own
		}
	}
	if !c.emit(k, a.start, a.end) {
		c.emit(Assignment, a.start, a.end)
	}
}

// own returns the kind that a value shows by itself, and how long it is.
func (c *scan) own(start, end int) (Kind, int) {
	v := c.v[start:end]
	if k, n := tokenIn(v); k != 0 {
		return k, n
	}
	if len(v) > 20 && v[0] == 'e' {
		for i := range v {
			if v[i] == '.' {
				return JWT, jwt(v, 0, i)
			}
		}
	}
	return 0, -1
}

// said reports whether a value after a colon, without quotes, is one and no prose:
// it ends its line, or has a look that words have not.
func (c *scan) said(end int, v []byte) bool {
	var seen uint8
	special := false
	for i, b := range v {
		k := class[b]
		if k == upper && i == 0 {
			k = low
		}
		seen |= k
		special = special || k == 0 && b != '.'
	}
	if seen&digit != 0 || special || seen&upper != 0 && seen&(low|hexLow) != 0 {
		return true
	}
	switch string(v[:min(len(v), 12)]) {
	case "incorrect", "invalid", "expired", "required", "missing", "mismatch", "failed", "failure", "wrong", "changed", "accepted", "rejected", "denied", "unknown", "error", "auth", "found", "not", "must", "no", "user", "reset", "updated", "created", "granted", "ok", "success", "successful", "authenticat", "authenticati":
		return false
	}
	return end == len(c.v) || c.v[end] != ' '
}

// credential finds the credential in the value of an Authorization header: what
// follows its scheme. sure says that it is no prose.
func (c *scan) credential(start, end int, sure bool) {
	v := c.v
	i := start
	for i < end && class[v[i]]&(alnum|dash) != 0 {
		i++
	}
	from, k := i, Assignment
	for from < end && (v[from] == ' ' || v[from] == '\t') {
		from++
	}
	if from == i || from == end { // no scheme
		if sure || tokenLike(v[start:end]) {
			if own, n := c.own(start, end); n == end-start && c.emit(own, start, end) {
				return
			}
			c.emit(Assignment, start, end)
		}
		return
	}
	switch scheme := v[start:i]; {
	case foldEqual(scheme, "bearer"):
		k = Bearer
	case foldEqual(scheme, "basic"):
		k = Basic
	case foldEqual(scheme, "token"), foldEqual(scheme, "apikey"), foldEqual(scheme, "digest"), foldEqual(scheme, "negotiate"), foldEqual(scheme, "ntlm"), foldEqual(scheme, "aws4-hmac-sha256"), foldEqual(scheme, "splunk"), foldEqual(scheme, "sharedaccesssignature"), foldEqual(scheme, "sharedkey"), foldEqual(scheme, "oauth"):
	default:
		if from = start; !sure {
			return
		}
	}
	if k == Bearer || k == Basic {
		stop := from
		for stop < end && v[stop] > ' ' && v[stop] != ',' && v[stop] != ';' && v[stop] != '&' {
			stop++
		}
		if sure || stop == end {
			end = stop
		} else if end = stop; !credentialLike(v[from:stop]) {
			return
		}
	}
	if placeholder(v[from:end]) {
		return
	}
	if !c.emit(k, from, end) {
		c.emit(Assignment, from, end)
	}
}

// bearer looks for a credential after the word Bearer, v[start:end].
func (c *scan) bearer(start, end int) {
	v, i := c.v, end
	for i < len(v) && i-end < 4 && (v[i] == ' ' || v[i] == '\t') {
		i++
	}
	from := i
	for i < len(v) && token68(v[i]) {
		i++
	}
	if from == end || i == from || i < len(v) && (v[i] == '=' || v[i] == '[') {
		return
	}
	alone := (start == 0 || v[start-1] == '"' || v[start-1] == '\'') && (i == len(v) || v[i] == '"' || v[i] == '\'')
	for i > from && (v[i-1] == '.' || v[i-1] == '/') && !alone {
		i-- // the end of a sentence
	}
	w := v[from:i]
	for _, word := range [...]string{"token", "tokens", "auth", "authentication", "authorization", "scheme", "realm", "credentials", "error", "header", "format"} {
		if foldEqual(w, word) {
			return
		}
	}
	if alone && len(w) >= 3 || credentialLike(w) {
		for i < len(v) && v[i] == '=' {
			i++
		}
		c.emit(Bearer, from, i)
	}
}

func token68(b byte) bool {
	return class[b] != 0 || b == '.' || b == '~' || b == '+' || b == '/'
}

// credentialLike reports whether a word after Bearer is no word of prose.
func credentialLike(w []byte) bool {
	var seen uint8
	for _, b := range w {
		k := class[b]
		if k == low {
			k = hexLow
		}
		seen |= k
	}
	switch {
	case len(w) < 6:
		return false
	case seen&digit != 0:
		return seen&(upper|hexLow) != 0 || len(w) >= 8
	}
	return len(w) >= 24 || randomCase(w)
}

// basic looks for base64 with a colon in it after the word Basic.
func (c *scan) basic(end int) {
	v, i := c.v, end
	for i < len(v) && i-end < 4 && (v[i] == ' ' || v[i] == '\t') {
		i++
	}
	from := i
	for i < len(v) && i-from < 1024 && sextet[v[i]] < 64 {
		i++
	}
	if from == end || i-from < 4 || !c.set.Has(Basic) {
		return
	}
	var buf [768]byte
	text := decode64(buf[:0], v[from:i])
	colon := hasByte(text, ':')
	for _, b := range text {
		if b < ' ' {
			return
		}
	}
	if !colon {
		return
	}
	for i < len(v) && v[i] == '=' {
		i++
	}
	c.emit(Basic, from, i)
}

// pem looks for a private key in PEM armour, whose BEGIN is v[start:end].
func (c *scan) pem(start, end int) {
	v := c.v
	if !c.set.Has(PrivateKey) || v[start] != '-' {
		return
	}
	const label = "PRIVATE KEY"
	i := end
	for ; ; i++ {
		if i+len(label) > len(v) || i-end > 32 {
			return
		}
		if string(v[i:i+len(label)]) == label {
			break
		}
	}
	stop := len(v)
	for i += len(label); i+12 < len(v); i++ {
		if v[i] == 'E' && string(v[i:i+4]) == "END " && v[i-1] == '-' {
			for i < len(v) && v[i] != '-' {
				i++
			}
			for i < len(v) && v[i] == '-' {
				i++
			}
			stop = i
			break
		}
	}
	c.emit(PrivateKey, start, stop)
}

func hasByte(v []byte, b byte) bool {
	for _, x := range v {
		if x == b {
			return true
		}
	}
	return false
}
