package sensitive

import "strings"

// evidence is what a name says about the value that follows it.
type evidence uint8

const (
	noEvidence  evidence = iota
	ofSecret             // a password, a key: whatever follows
	ofToken              // a token or a secret: what follows if it looks like one
	ofAuth               // Authorization
	ofCookie             // Cookie, Set-Cookie
	ofAWSSecret          // an AWS secret access key
	ofAzureKey           // a key of a storage account, of a service bus
	ofSAS                // sig, of a shared access signature
	ofPhone              // a telephone's number
	ofCard               // a card's number
	ofIBAN               // the number of an account
	ofBearer             // the word Bearer
	ofBasic              // the word Basic
	ofPEM                // BEGIN
	ofKube               // Secret, maybe a kind
	ofDirectory          // PWD or pass, which is a password, a directory or a number of tests
	ofPuTTY              // Private-Lines
)

// names end the names of what is sensitive, without separators and in lower case.
// Those that are whole count only where nothing, a separator or a change of case
// stands before them.
var names = [...]struct {
	ending string
	ev     evidence
	whole  bool
}{
	{"password", ofSecret, false}, {"passwords", ofSecret, false}, {"passwd", ofSecret, false}, {"passphrase", ofSecret, false}, {"passwrd", ofSecret, false}, {"passcode", ofSecret, false},
	{"passwordconfirmation", ofSecret, false}, {"passwordconfirm", ofSecret, false}, {"passwordhash", ofSecret, false}, {"passwordvalue", ofSecret, false}, {"passwordplaintext", ofSecret, false}, {"passwordraw", ofSecret, false},
	{"clientsecret", ofSecret, false}, {"secretkey", ofSecret, false}, {"secretkeybase", ofSecret, false}, {"appsecret", ofSecret, false}, {"secretvalue", ofSecret, false}, {"sharedsecret", ofSecret, false},
	{"signingsecret", ofSecret, false}, {"webhooksecret", ofSecret, false}, {"jwtsecret", ofSecret, false}, {"sessionsecret", ofSecret, false}, {"apisecret", ofSecret, false},
	{"consumersecret", ofSecret, false}, {"tokensecret", ofSecret, false}, {"cookiesecret", ofSecret, false}, {"hmacsecret", ofSecret, false},
	{"apikey", ofToken, false}, {"privatekey", ofToken, false}, {"signingkey", ofToken, false}, {"encryptionkey", ofToken, false}, {"masterkey", ofToken, false}, {"authkey", ofToken, false},
	{"secretaccesskey", ofAWSSecret, false}, {"awssecretkey", ofAWSSecret, false}, {"awssecret", ofAWSSecret, false},
	{"sharedaccesskey", ofAzureKey, false}, {"accountkey", ofAzureKey, false}, {"subscriptionkey", ofToken, false}, {"accesskey", ofToken, false}, {"functionskey", ofToken, false},
	{"credential", ofToken, false}, {"credentials", ofToken, false}, {"creds", ofToken, false},
	{"authorization", ofAuth, false}, {"cookie", ofCookie, false},
	{"phpsessid", ofSecret, false}, {"jsessionid", ofSecret, false}, {"connectsid", ofSecret, false},
	{"xamzsignature", ofSecret, false}, {"xgoogsignature", ofSecret, false}, {"xamzsecuritytoken", ofSecret, false},
	{"refreshtoken", ofSecret, false}, {"accesstoken", ofSecret, false}, {"authtoken", ofSecret, false}, {"bearertoken", ofSecret, false}, {"idtoken", ofSecret, false},
	{"sessiontoken", ofSecret, false}, {"apitoken", ofSecret, false}, {"secret", ofToken, false}, {"token", ofToken, false}, {"tokenvalue", ofToken, false}, {"tokenraw", ofToken, false},
	{"phone", ofPhone, false}, {"phonenumber", ofPhone, false}, {"phoneno", ofPhone, false}, {"msisdn", ofPhone, false}, {"mobilenumber", ofPhone, false},
	{"cardnumber", ofCard, false}, {"creditcard", ofCard, false}, {"ccnumber", ofCard, false}, {"cardno", ofCard, false}, {"iban", ofIBAN, false},
	{"pass", ofDirectory, true}, {"pwd", ofDirectory, true}, {"otp", ofSecret, true}, {"totp", ofSecret, true}, {"cvv", ofSecret, true}, {"cvc", ofSecret, true},
	{"sig", ofSAS, true}, {"bearer", ofBearer, true}, {"basic", ofBasic, true}, {"tel", ofPhone, true}, {"fax", ofPhone, true}, {"mobile", ofPhone, true}, {"cell", ofPhone, true},
	{"call", ofPhone, true}, {"sms", ofPhone, true}, {"whatsapp", ofPhone, true}, {"pan", ofCard, true}, {"card", ofCard, true}, {"secretlist", ofKube, true}, {"begin", ofPEM, true}, {"privatelines", ofPuTTY, true},
}

// notTokens stand before "token" in the names of places in a list, and of ids that
// make a request the same.
var notTokens = [...]string{"page", "next", "continuation", "continue", "sync", "resume", "request", "client", "idempotency", "cancellation", "cancel", "consistency", "eos", "bos", "start", "end", "sequencer", "previous", "prev", "fencing", "unexpected", "invalid", "max"}

// byTail maps the last three letters of a name to a list in tailed; 0 is empty.
// The lists are ordered so that a longer ending precedes a shorter one.
var byTail, tailed = func() (index [26 * 26 * 26]uint8, lists [][]uint8) {
	lists = [][]uint8{nil}
	for size := 24; size >= 3; size-- {
		for i, x := range names {
			if len(x.ending) != size {
				continue
			}
			at := tailOf([]byte(x.ending))
			if index[at] == 0 {
				index[at] = uint8(len(lists))
				lists = append(lists, nil)
			}
			lists[index[at]] = append(lists[index[at]], uint8(i))
		}
	}
	return index, lists
}()

// tailOf numbers the last three bytes of a name; 0, as of "aaa", if they are not
// letters.
func tailOf(name []byte) int {
	n := len(name)
	a, b, c := int(name[n-3]|0x20)-'a', int(name[n-2]|0x20)-'a', int(name[n-1]|0x20)-'a'
	if uint(a) > 25 || uint(b) > 25 || uint(c) > 25 {
		return 0
	}
	return (a*26+b)*26 + c
}

// evidenceOf reads a name: the last word of a path, in any case, with any
// separators, and perhaps a digit at its end.
func evidenceOf(name []byte) evidence {
	n := len(name)
	for n > 2 && class[name[n-1]]&(digit|under|dash) != 0 && len(name)-n < 2 {
		n--
	}
	if n < 3 {
		return noEvidence
	}
	name = name[:n]
	for _, i := range tailed[byTail[tailOf(name)]] {
		x := &names[i]
		at := ends(name, x.ending)
		switch {
		case at < 0:
			continue
		case x.whole && at > 0 && class[name[at-1]]&alnum != 0 && (class[name[at]] != upper || class[name[at-1]] == upper):
			continue
		case x.ev == ofToken && n-at <= len("secret"):
			for _, not := range notTokens {
				if ends(name[:at], not) >= 0 {
					return noEvidence
				}
			}
			if at == 0 && string(name) == "Secret" {
				return ofKube
			}
		}
		return x.ev
	}
	return noEvidence
}

// ends returns where in name its ending begins, which is in lower case and has no
// separators; -1 when name ends otherwise.
func ends(name []byte, ending string) int {
	i, j := len(name), len(ending)
	for j > 0 {
		if i == 0 {
			return -1
		}
		i--
		b := name[i]
		if class[b]&(under|dash) != 0 {
			continue
		}
		j--
		if lower(b) != ending[j] {
			return -1
		}
	}
	return i
}

// Field is what the name of a column tells about its values. Take it once per
// column, from Scanner.Field.
type Field struct {
	whole   Kind     // the whole value is of this kind, unless it is a placeholder
	ev      evidence // what the name says
	phone   bool     // values are telephone's numbers
	card    bool     // values are numbers of cards
	who     bool     // values are ids of AWS keys that say who acted, and are no secrets
	version bool     // values are versions: dotted numbers are no addresses
	kube    bool     // values in base64 are of a Kubernetes Secret
	plain   bool     // and so are those that are not
	kind    string   // the column that tells whether this one is of a Kubernetes Secret
	any     bool     // one of the last four, or ev is ofToken or ofIBAN
}

// Field reads a column's name: a schema name or a sender's own.
func (s *Scanner) Field(name string) Field {
	var f Field
	if len(name) > 1024 {
		name = name[len(name)-1024:]
	}
	name = strings.TrimSuffix(name, ")") // REQ(AUTHORIZATION)
	last := name
	for i := len(name) - 1; i >= 0; i-- {
		if name[i] == '.' || name[i] == '(' || name[i] == '/' || name[i] == ':' || name[i] == '[' {
			if last = name[i+1:]; !within(last) && !numeric(last) {
				break
			}
			name, last = name[:i], name[:i]
		}
	}
	var buf [64]byte
	w := buf[:copy(buf[:], last[max(0, len(last)-len(buf)):])]
	f.ev = evidenceOf(w)
	f.phone, f.card = f.ev == ofPhone && !foldEqual(w, "call") && !foldEqual(w, "cell") && !foldEqual(w, "sms"), f.ev == ofCard
	f.who = strings.HasSuffix(name, "userIdentity.accessKeyId") || strings.HasSuffix(name, "userIdentity.principalId") || strings.HasSuffix(name, "user.extra.accessKeyId")
	f.version = len(w) >= 7 && foldEqual(w[len(w)-7:], "version")
	f.kube, f.plain = kubeBody(name)
	if s.set.Has(K8sSecret) {
		f.kind = kindColumn(name)
	}
	f.whole = f.ev.kind()
	if !s.set.Has(f.whole) {
		if f.whole = 0; s.set.Has(Assignment) && f.ev.kind() != 0 && f.ev != ofCookie && f.ev != ofAuth {
			f.whole = Assignment
		}
	}
	f.any = f.phone && s.set.Has(Phone) || f.kube && s.set.Has(K8sSecret) || f.ev == ofToken && s.set.Has(Assignment) || f.ev == ofIBAN && s.set.Has(IBAN)
	return f
}

// kind returns the kind of a value that a name alone speaks for.
func (e evidence) kind() Kind {
	switch e {
	case ofSecret:
		return Assignment
	case ofAuth:
		return Bearer
	case ofCookie:
		return Cookie
	case ofAWSSecret:
		return AWSSecretKey
	case ofAzureKey:
		return AzureKey
	}
	return 0
}

// Named reports whether the name alone makes every value one of a kind, so that
// nothing about the values' bytes can tell that there is nothing to find.
func (f Field) Named() bool { return f.whole != 0 || f.any }

// Whole returns the kind of which the name alone makes every value, if any.
func (f Field) Whole() (Kind, bool) { return f.whole, f.whole != 0 && f.ev != ofDirectory }

// KindColumn returns the name of the column that holds the kind of the object of
// which this column may be the data: of a record that is a Secret itself, the name
// of data.x tells nothing, and kind tells all. "" when there is none. Of an object
// that is a Secret the whole value is its body; of one that is a SecretList the
// values of items have to be searched, by FindBodies.
func (f Field) KindColumn() string { return f.kind }

// kindColumn finds data, stringData or items among the words of a name.
func kindColumn(name string) string {
	for i := range name {
		if i > 0 && name[i-1] != '.' {
			continue
		}
		if rest := name[i:]; rest == "items" || len(rest) > 5 && rest[:5] == "data." || len(rest) > 11 && rest[:11] == "stringData." {
			return name[:i] + "kind"
		}
	}
	return ""
}

// within reports whether a name says nothing of its own of a part of what is named
// before it: password.new is a password.
func within(last string) bool {
	switch last {
	case "value", "stringValue", "new", "old", "current", "plain", "raw":
		return true
	}
	return false
}

func numeric(s string) bool {
	for i := range len(s) {
		if class[s[i]] != digit && s[i] != ']' {
			return false
		}
	}
	return true
}

// kubeBody reports whether a name is of the body of an object in a request or a
// response: …requestObject.data. and its like. plain says that it is stringData.
func kubeBody(name string) (body, plain bool) {
	for _, object := range [...]string{"requestObject.", "responseObject.", "request_object.", "response_object."} {
		if i := strings.Index(name, object); i >= 0 {
			rest := name[i+len(object):]
			plain = strings.HasPrefix(rest, "stringData.")
			return plain || strings.HasPrefix(rest, "data."), plain
		}
	}
	return false, false
}
