package listen

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"time"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/httpd"
)

// recheckEvery is how often it is looked whose certificate has expired. With what
// a message and its records may take to end, a connection outlives it by less than
// a minute.
var recheckEvery = 30 * time.Second

// A proof is why a sender with a certificate was let in.
type proof struct {
	certs []*x509.Certificate // as the sender showed them
	by    *x509.CertPool      // the authorities that have vouched for them
	until time.Time           // then the last chain to one of those ends
}

func proofOf(s tls.ConnectionState, by *x509.CertPool) *proof {
	return &proof{s.PeerCertificates, by, httpd.Until(s.VerifiedChains)}
}

// holds reports why a proof does not hold any more.
func (p *proof) holds(now *httpd.TLS, t time.Time) error {
	if by := now.Clients(); p.by != by {
		until, err := now.Vouch(p.certs, t)
		if err != nil {
			return err
		}
		p.by, p.until = by, until
	}
	if t.After(p.until) {
		return fault.Errorf(fault.Unauthenticated, "the sender's certificate has expired: it was valid until %v", p.until.UTC())
	}
	return nil
}

// recheck ends connections whose certificate is not valid any more, until ctx ends.
// A handshake that is under way is not asked: it is the next time.
func (l *Listener) recheck(ctx context.Context) {
	tick := time.NewTicker(recheckEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-l.changed:
		}
		l.mu.Lock()
		open := make([]*Conn, 0, len(l.conns))
		for c := range l.conns {
			open = append(open, c)
		}
		l.mu.Unlock()
		for _, c := range open {
			if err := c.proof.holds(l.tls, now()); err != nil {
				c.withdraw(refuse("certificate", err))
			}
		}
	}
}

// withdraw ends a connection that may not be: what is on its way may arrive within
// a moment, and who does not end then is cut.
func (c *Conn) withdraw(why error) {
	c.mu.Lock()
	first := c.why == nil
	if first {
		c.why = why
		c.cut = time.AfterFunc(stopGrace, func() { c.Conn.Close() })
	}
	c.mu.Unlock()
	if first {
		c.stop(now().Add(stopMessage))
	}
}

// withdrawn returns why the connection was ended from here, nil if it was not. It
// is called at its end.
func (c *Conn) withdrawn() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cut != nil {
		c.cut.Stop()
	}
	return c.why
}
