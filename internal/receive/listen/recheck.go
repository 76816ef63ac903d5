package listen

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"time"

	"github.com/meshtrail/meshtrail/internal/fault"
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
	return &proof{s.PeerCertificates, by, end(s.VerifiedChains)}
}

// end returns when none of the chains will be valid any more.
func end(chains [][]*x509.Certificate) (last time.Time) {
	for _, chain := range chains {
		first := chain[0].NotAfter
		for _, c := range chain {
			if c.NotAfter.Before(first) {
				first = c.NotAfter
			}
		}
		if first.After(last) {
			last = first
		}
	}
	return last
}

// holds reports why a proof does not hold any more, with these authorities.
func (p *proof) holds(by *x509.CertPool, t time.Time) error {
	if p.by != by {
		rest := x509.NewCertPool()
		for _, c := range p.certs[1:] {
			rest.AddCert(c)
		}
		chains, err := p.certs[0].Verify(x509.VerifyOptions{Roots: by, Intermediates: rest, CurrentTime: t, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
		if err != nil {
			return fault.Errorf(fault.Denied, "client_ca does not vouch for the sender any more: %w", err)
		}
		p.by, p.until = by, end(chains)
	}
	if t.After(p.until) {
		return fault.Errorf(fault.Denied, "the sender's certificate has expired: it was valid until %v", p.until.UTC())
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
		by, t := l.tls.Clients(), now()
		for _, c := range open {
			if err := c.proof.holds(by, t); err != nil {
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
