package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/httpd"
	"github.com/meshtrail/meshtrail/internal/identity"
)

// Environment variables that replace the flags of the same meaning.
const (
	envServer    = "MESHTRAIL_SERVER"
	envTokenFile = "MESHTRAIL_TOKEN_FILE"
)

// client asks a server. Its flags are the same for every verb that does.
type client struct {
	server    string
	tokenFile string
	caFile    string

	base  *url.URL
	token string
	http  *http.Client
}

func (c *client) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&c.server, "server", "", "address of the server (default $"+envServer+" or http://"+httpd.DefaultListen+")")
	f.StringVar(&c.tokenFile, "token-file", "", "file that holds the token (default $"+envTokenFile+" or ./"+defaultData+"/"+identity.TokenFile+")")
	f.StringVar(&c.caFile, "ca-file", "", "certificates to trust for TLS, PEM (default: those of the system)")
}

// open reads what the flags name.
func (c *client) open() error {
	server := firstOf(c.server, os.Getenv(envServer), "http://"+httpd.DefaultListen)
	if !strings.Contains(server, "://") {
		server = "http://" + server
	}
	base, err := url.Parse(server)
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		return fault.WithHint(fault.Errorf(fault.Invalid, "server address %q is no http or https address", server), "write it as https://HOST:PORT")
	}
	if base.Scheme == "http" && !httpd.Loopback(base.Hostname()) {
		return fault.WithHint(fault.Errorf(fault.Invalid, "refuse to send the token to %s without TLS", base.Host), "use https://")
	}
	c.base = base
	if err := c.readToken(); err != nil {
		return err
	}
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true}
	if c.caFile != "" {
		pem, err := os.ReadFile(c.caFile)
		if err != nil {
			return fault.Errorf(fault.Invalid, "read certificates: %w", err)
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(pem) {
			return fault.Errorf(fault.Invalid, "read certificates: %s holds none", c.caFile)
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	c.http = &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // the token goes nowhere else
	}
	return nil
}

func firstOf(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

func (c *client) readToken() error {
	name := firstOf(c.tokenFile, os.Getenv(envTokenFile), filepath.Join(defaultData, identity.TokenFile))
	data, err := os.ReadFile(name)
	if err != nil {
		return fault.WithHint(fault.Errorf(fault.Unauthenticated, "read the token: %w", err),
			"name the file with --token-file or $"+envTokenFile+"; the administrator's token is DIR/admin.token of the server's data folder")
	}
	token, err := identity.ParseToken(data)
	if err != nil {
		return fault.Errorf(fault.Unauthenticated, "read the token from %s: %w", name, err)
	}
	c.token = token
	return nil
}

// do asks for a path. An answer that is no success becomes an error of the
// kind that the server named. The caller closes the body.
func (c *client) do(ctx context.Context, method, path string, query url.Values) (*http.Response, error) {
	return c.send(ctx, method, path, query, "", nil)
}

// send is do with a body of a type.
func (c *client) send(ctx context.Context, method, path string, query url.Values, kind string, body io.Reader) (*http.Response, error) {
	u := *c.base
	u.Path = strings.TrimSuffix(u.Path, "/") + path
	u.RawQuery = query.Encode()
	r, err := http.NewRequestWithContext(ctx, method, u.String(), body)
	if err != nil {
		return nil, fault.Errorf(fault.Invalid, "ask %s: %w", c.base.Host, err)
	}
	r.Header.Set("Authorization", "Bearer "+c.token)
	if kind != "" {
		r.Header.Set("Content-Type", kind)
	}
	r.Header.Set("User-Agent", "meshtrail/"+version())
	resp, err := c.http.Do(r)
	if err != nil {
		return nil, c.unreachable(ctx, err)
	}
	if resp.StatusCode/100 == 2 {
		return resp, nil
	}
	defer resp.Body.Close()
	return nil, answerError(resp)
}

func (c *client) unreachable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fault.Wrap(fault.Canceled, ctx.Err())
	}
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" {
		return fault.WithHint(fault.Errorf(fault.Unavailable, "reach %s: %w", c.base, op), "is the server running? start it with: meshtrail serve --data DIR; another address goes in --server")
	}
	return fault.Errorf(fault.Unavailable, "ask %s: %w", c.base, err)
}

// answerError reads the error of an answer.
func answerError(resp *http.Response) error {
	data, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	var body httpd.ErrorBody
	kind := kindOfStatus(resp.StatusCode)
	if json.Unmarshal(data, &body) == nil && body.Error.Message != "" {
		if named := kindNamed(body.Error.Kind); named.String() == body.Error.Kind {
			kind = named
		}
		err := fault.Errorf(kind, "the server answered: %s", body.Error.Message)
		if kind == fault.Internal {
			err = fault.Errorf(kind, "the server answered: %s (request %s)", body.Error.Message, body.Error.RequestID)
		}
		return fault.WithHint(err, body.Error.Hint)
	}
	// The Loki dialect answers in plain text: the message, then a hint.
	if text := strings.TrimSpace(string(data)); strings.HasPrefix(resp.Header.Get("Content-Type"), "text/plain") && text != "" {
		text, hint, _ := strings.Cut(text, "\nhint: ")
		return fault.WithHint(fault.Errorf(kind, "the server answered: %s", text), hint)
	}
	return fault.WithHint(fault.Errorf(kind, "the server answered %s", resp.Status), "is this a Meshtrail server?")
}

// kindNamed returns the kind of a name, Internal when there is none.
func kindNamed(name string) fault.Kind {
	for k := fault.Internal; k <= fault.Canceled; k++ {
		if k.String() == name {
			return k
		}
	}
	return fault.Internal
}

func kindOfStatus(code int) fault.Kind {
	switch code {
	case http.StatusUnauthorized:
		return fault.Unauthenticated
	case http.StatusForbidden:
		return fault.Denied
	case http.StatusNotFound:
		return fault.NotFound
	case http.StatusTooManyRequests, http.StatusServiceUnavailable, http.StatusBadGateway, http.StatusGatewayTimeout:
		return fault.Unavailable
	}
	if code/100 == 4 {
		return fault.Invalid
	}
	return fault.Internal
}
