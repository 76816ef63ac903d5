package identity

import (
	"encoding/base64"
	"net"
	"net/http"
	"strings"

	"github.com/meshtrail/meshtrail/internal/fault"
)

// maxCredential bounds what is decoded, in bytes.
const maxCredential = 4096

// keyHeaders carry a token and nothing else.
var keyHeaders = [...]string{"DD-API-KEY", "X-Amz-Firehose-Access-Key"}

// Credential returns the token that a request's headers carry:
//
//	Authorization: Bearer TOKEN
//	Authorization: Basic base64(ANYTHING:TOKEN)
//	Authorization: ApiKey base64(ID:TOKEN), or ApiKey TOKEN
//	Authorization: Splunk TOKEN
//	DD-API-KEY: TOKEN
//	X-Amz-Firehose-Access-Key: TOKEN
//
// More than one Authorization header is refused: a proxy and we might read
// different ones.
func Credential(h http.Header) (string, error) {
	values := h.Values("Authorization")
	if len(values) > 1 {
		return "", fault.Errorf(fault.Unauthenticated, "more than one Authorization header")
	}
	if len(values) == 0 {
		for _, name := range keyHeaders {
			if key := h.Get(name); key != "" && len(key) <= maxCredential {
				return key, nil
			}
		}
		return "", fault.WithHint(fault.Errorf(fault.Unauthenticated, "no credential"),
			"send the header Authorization: Bearer TOKEN")
	}
	if len(values[0]) > maxCredential {
		return "", fault.Errorf(fault.Unauthenticated, "credential is longer than %d bytes", maxCredential)
	}
	scheme, rest, _ := strings.Cut(strings.TrimSpace(values[0]), " ")
	rest = strings.TrimSpace(rest)
	if rest == "" {
		return "", fault.Errorf(fault.Unauthenticated, "Authorization header without a credential")
	}
	switch strings.ToLower(scheme) {
	case "bearer", "splunk":
		return rest, nil
	case "basic":
		if password, ok := afterColon(rest); ok {
			return password, nil
		}
		return "", fault.Errorf(fault.Unauthenticated, "Basic credential is not base64 of user:password")
	case "apikey":
		if key, ok := afterColon(rest); ok {
			return key, nil
		}
		return rest, nil
	}
	return "", fault.WithHint(fault.Errorf(fault.Unauthenticated, "unknown Authorization scheme"),
		"use Bearer, Basic, ApiKey or Splunk")
}

// Presented reports whether the headers carry a credential, right or wrong.
func Presented(h http.Header) bool {
	for _, name := range keyHeaders {
		if h.Get(name) != "" {
			return true
		}
	}
	return h.Get("Authorization") != ""
}

// afterColon decodes base64 of "name:secret" and returns the secret.
func afterColon(s string) (string, bool) {
	data, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		if data, err = base64.RawStdEncoding.DecodeString(s); err != nil {
			return "", false
		}
	}
	_, secret, ok := strings.Cut(string(data), ":")
	return secret, ok
}

// Remote returns the address of the request's network peer without its port.
// Forwarding headers are not believed: anybody can write them.
func Remote(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// Still is Identify for a request that was let in before and is still being
// answered: nobody guesses, so nothing is limited.
func (k *Keeper) Still(r *http.Request) (Identity, error) { return k.identify(r) }
