package sensitive

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

// secretNames end the names of secrets, without separators and in lower case.
var secretNames = [...]struct {
	ending string
	ev     evidence
}{
	{"password", ofSecret}, {"passwd", ofSecret}, {"passphrase", ofSecret}, {"passwrd", ofSecret}, {"passcode", ofSecret},
	{"clientsecret", ofSecret}, {"secretkey", ofSecret}, {"secretkeybase", ofSecret}, {"passwords", ofSecret}, {"iban", ofIBAN}, {"appsecret", ofSecret}, {"secretvalue", ofSecret}, {"sharedsecret", ofSecret},
	{"signingsecret", ofSecret}, {"webhooksecret", ofSecret}, {"jwtsecret", ofSecret}, {"sessionsecret", ofSecret}, {"apisecret", ofSecret},
	{"consumersecret", ofSecret}, {"tokensecret", ofSecret}, {"cookiesecret", ofSecret}, {"hmacsecret", ofSecret},
	{"apikey", ofToken}, {"privatekey", ofToken}, {"signingkey", ofToken}, {"encryptionkey", ofToken}, {"masterkey", ofToken}, {"authkey", ofToken},
	{"secretaccesskey", ofAWSSecret}, {"awssecretkey", ofAWSSecret}, {"awssecret", ofAWSSecret},
	{"sharedaccesskey", ofAzureKey}, {"accountkey", ofAzureKey}, {"subscriptionkey", ofToken}, {"accesskey", ofToken}, {"functionskey", ofToken},
	{"credential", ofToken}, {"credentials", ofToken}, {"creds", ofToken},
	{"authorization", ofAuth}, {"cookie", ofCookie},
	{"phpsessid", ofSecret}, {"jsessionid", ofSecret}, {"connectsid", ofSecret},
	{"xamzsignature", ofSecret}, {"xgoogsignature", ofSecret}, {"xamzsecuritytoken", ofSecret},
	{"refreshtoken", ofSecret}, {"accesstoken", ofSecret}, {"authtoken", ofSecret}, {"bearertoken", ofSecret}, {"idtoken", ofSecret},
	{"sessiontoken", ofSecret}, {"apitoken", ofSecret}, {"csrftoken", ofToken}, {"xsrftoken", ofToken},
	{"secret", ofToken}, {"token", ofToken},
	{"phone", ofPhone}, {"phonenumber", ofPhone}, {"phoneno", ofPhone}, {"telephone", ofPhone}, {"msisdn", ofPhone}, {"mobilenumber", ofPhone},
	{"cardnumber", ofCard}, {"creditcard", ofCard}, {"ccnumber", ofCard}, {"cardno", ofCard},
}

// wholeNames are names that say something only when nothing stands before them,
// or a separator does.
var wholeNames = [...]struct {
	name string
	ev   evidence
}{
	{"pass", ofDirectory}, {"pwd", ofDirectory}, {"otp", ofSecret}, {"totp", ofSecret}, {"cvv", ofSecret}, {"cvc", ofSecret}, {"cvv2", ofSecret},
	{"sig", ofSAS}, {"bearer", ofBearer}, {"basic", ofBasic}, {"tel", ofPhone}, {"fax", ofPhone}, {"mobile", ofPhone}, {"cell", ofPhone},
	{"call", ofPhone}, {"sms", ofPhone}, {"whatsapp", ofPhone}, {"pan", ofCard}, {"card", ofCard}, {"secretlist", ofKube}, {"begin", ofPEM}, {"privatelines", ofPuTTY},
}

// notTokens stand before "token" in the names of places in a list, and of ids that
// make a request the same.
var notTokens = [...]string{"page", "next", "continuation", "continue", "sync", "resume", "request", "client", "idempotency", "cancellation", "cancel", "consistency", "eos", "bos", "start", "end", "sequencer", "previous", "prev", "fencing", "unexpected", "invalid", "max"}

// evidenceOf reads a name: the last word of a path, in any case, with any
// separators.
func evidenceOf(name []byte) evidence {
	var buf [40]byte
	n := 0
	from := max(0, len(name)-len(buf))
	for _, b := range name[from:] {
		if k := class[b]; k&alnum != 0 {
			buf[n] = lower(b)
			n++
		}
	}
	for n > 0 && class[buf[n-1]] == digit && string(buf[:n]) != "cvv2" {
		n--
	}
	for _, s := range [...]string{"value", "base64", "b64", "raw", "hash", "plaintext", "header", "confirmation", "confirm"} {
		if n > len(s)+2 && string(buf[n-len(s):n]) == s && s != "value" {
			n -= len(s)
			break
		}
	}
	w := buf[:n]
	for i := range secretNames {
		e := &secretNames[i]
		if k := n - len(e.ending); k >= 0 && string(w[k:]) == e.ending {
			if e.ending == "token" || e.ending == "secret" {
				for _, not := range notTokens {
					if k >= len(not) && string(w[k-len(not):k]) == not {
						return noEvidence
					}
				}
			}
			if e.ending == "secret" && n == k+6 && k == 0 && len(name) == 6 && name[0] == 'S' && name[1] == 'e' {
				return ofKube
			}
			return e.ev
		}
	}
	for i := range wholeNames {
		e := &wholeNames[i]
		if k := n - len(e.name); k >= 0 && string(w[k:]) == e.name {
			at := len(name) - len(e.name)
			if k == 0 || at > 0 && (class[name[at-1]]&alnum == 0 || class[name[at]] == upper && class[name[at-1]] != upper) {
				return e.ev
			}
		}
	}
	return noEvidence
}

// tailHint reports cheaply whether a name may end as one of those above: by its
// last three bytes, in lower case.
func tailHint(w []byte) bool {
	n := len(w)
	if n < 3 {
		return false
	}
	switch uint32(w[n-1]|0x20) | uint32(w[n-2]|0x20)<<8 | uint32(w[n-3]|0x20)<<16 {
	case 'o'<<16 | 'r'<<8 | 'd', 's'<<16 | 'w'<<8 | 'd', 'a'<<16 | 's'<<8 | 'e', 'o'<<16 | 'd'<<8 | 'e', 'w'<<16 | 'r'<<8 | 'd', // password passwd passphrase passcode passwrd
		'r'<<16 | 'e'<<8 | 't', 'k'<<16 | 'e'<<8 | 'y', 'k'<<16 | 'e'<<8 | 'n', // secret key token
		'i'<<16 | 'a'<<8 | 'l', 'a'<<16 | 'l'<<8 | 's', 'e'<<16 | 'd'<<8 | 's', // credential, credentials, creds
		'i'<<16 | 'o'<<8 | 'n', 'k'<<16 | 'i'<<8 | 'e', 's'<<16 | 'i'<<8 | 'd', 'n'<<16 | 'i'<<8 | 'd', // authorization cookie phpsessid jsessionid
		'u'<<16 | 'r'<<8 | 'e', 'o'<<16 | 'n'<<8 | 'e', 'b'<<16 | 'e'<<8 | 'r', 'e'<<16 | 'n'<<8 | 'o', 'd'<<16 | 'n'<<8 | 'o', 's'<<16 | 'd'<<8 | 'n', // signature phone number phoneno cardno msisdn
		'a'<<16 | 'r'<<8 | 'd', 'a'<<16 | 's'<<8 | 's', 'p'<<16 | 'w'<<8 | 'd', 'o'<<16 | 't'<<8 | 'p', 'c'<<16 | 'v'<<8 | 'v', 'c'<<16 | 'v'<<8 | 'c', // creditcard pass pwd otp cvv cvc
		's'<<16 | 'i'<<8 | 'g', 'r'<<16 | 'e'<<8 | 'r', 's'<<16 | 'i'<<8 | 'c', 't'<<16 | 'e'<<8 | 'l', 'f'<<16 | 'a'<<8 | 'x', 'i'<<16 | 'l'<<8 | 'e', 'e'<<16 | 'l'<<8 | 'l', // sig bearer basic tel fax mobile cell
		'a'<<16 | 'l'<<8 | 'l', 's'<<16 | 'm'<<8 | 's', 'a'<<16 | 'p'<<8 | 'p', 'p'<<16 | 'a'<<8 | 'n', 'b'<<16 | 'a'<<8 | 'n', 'r'<<16 | 'd'<<8 | 's', 'g'<<16 | 'i'<<8 | 'n', // call sms whatsapp pan begin
		'n'<<16 | 'e'<<8 | 's', 'v'<<16 | 'v'<<8 | '2' | 0x20, 'l'<<16 | 'u'<<8 | 'e', 'a'<<16 | 's'<<8 | 'h', 'e'<<16 | 'x'<<8 | 't', 'i'<<16 | 'r'<<8 | 'm', 'd'<<16 | 'e'<<8 | 'r', 'i'<<16 | 's'<<8 | 't': // Private-Lines cvv2 and the suffixes
		return true
	}
	return class[w[n-1]] == digit && class[w[n-2]]&alnum != 0 && n > 6 && tailHint(w[:n-1])
}

// Field is what the name of a column tells about its values. Take it once per
// column, from Scanner.Field.
type Field struct {
	whole   Kind     // the whole value is of this kind, unless it is a placeholder
	ev      evidence // what the name says
	phone   bool     // values are telephone's numbers
	card    bool     // values are numbers of cards
	version bool     // values are versions: dotted numbers are no addresses
	kube    bool     // values in base64 are of a Kubernetes Secret
	plain   bool     // and so are those that are not
	any     bool     // one of the last four, or ev is ofToken or ofIBAN
}

// Field reads a column's name: a schema name or a sender's own.
func (s *Scanner) Field(name string) Field {
	var f Field
	if len(name) > 1024 {
		name = name[len(name)-1024:]
	}
	last := name
	for i := len(name) - 1; i >= 0; i-- {
		if name[i] == '.' || name[i] == '/' || name[i] == ':' || name[i] == '[' {
			if last = name[i+1:]; last != "value" && last != "stringValue" && !numeric(last) {
				break
			}
			name, last = name[:i], name[:i]
		}
	}
	var buf [64]byte
	w := buf[:copy(buf[:], last[max(0, len(last)-len(buf)):])]
	if tailHint(w) {
		f.ev = evidenceOf(w)
	}
	f.phone, f.card = f.ev == ofPhone && !foldEqual(w, "call") && !foldEqual(w, "cell") && !foldEqual(w, "sms"), f.ev == ofCard
	f.version = len(w) >= 7 && foldEqual(w[len(w)-7:], "version")
	f.kube, f.plain = kubeBody(name, len(name)-len(last))
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

func numeric(s string) bool {
	for i := range len(s) {
		if class[s[i]] != digit && s[i] != ']' {
			return false
		}
	}
	return true
}

// kubeBody reports whether name[:at] is the body of an object in a request or a
// response: …requestObject.data. and its like. plain says that it is stringData.
func kubeBody(name string, at int) (body, plain bool) {
	if at == 0 {
		return false, false
	}
	path := name[:at-1]
	for _, data := range [...]string{"data", "stringData"} {
		for _, object := range [...]string{"requestObject", "responseObject", "request_object", "response_object"} {
			if n := len(path) - len(data) - 1; n >= len(object) && path[n+1:] == data && path[n] == '.' && path[n-len(object):n] == object {
				return true, data != "data"
			}
		}
	}
	return false, false
}
