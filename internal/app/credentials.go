package app

import (
	"io"
	"os"
	"time"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/identity"
)

// credentials returns a keeper of the administrator's token and of everybody whom
// the configuration names.
func (s *server) credentials() (*identity.Keeper, error) {
	k, err := identity.Open(s.root, time.Now)
	if err != nil {
		return nil, err
	}
	for _, t := range s.cfg.Tokens {
		hash, err := readCredential(t.File)
		if err != nil {
			return nil, fault.WithHint(fault.Errorf(fault.Invalid, "token of %s: %w", t.Name, err), fault.HintOf(err))
		}
		k.AddHash(hash, t.Identity())
	}
	for _, c := range s.cfg.Certificates {
		k.AddCertificate(c.ID, c.Identity())
	}
	return k, nil
}

// readCredential reads a token's hash from a file that holds it, or the token. A
// file that others could have written is refused, and so is a token that others
// can read; its group may, because that is how Kubernetes mounts secrets.
func readCredential(name string) (hash [32]byte, err error) {
	f, err := os.Open(name)
	if err != nil {
		return hash, fault.WithHint(fault.Errorf(fault.NotFound, "%w", err), "make it with: meshtrail token new --out TOKEN > "+name)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return hash, fault.Errorf(fault.Invalid, "%w", err)
	}
	if !st.Mode().IsRegular() {
		return hash, fault.Errorf(fault.Invalid, "%s is not a regular file", name)
	}
	content, err := io.ReadAll(io.LimitReader(f, 8<<10))
	if err != nil {
		return hash, fault.Errorf(fault.Invalid, "read %s: %w", name, err)
	}
	hash, secret, err := identity.ParseCredential(content)
	if err != nil {
		return hash, fault.WithHint(fault.Errorf(fault.Invalid, "%s: %w", name, err), fault.HintOf(err))
	}
	forbidden := os.FileMode(0o022)
	if secret {
		forbidden = 0o027
	}
	if mode := st.Mode().Perm(); mode&forbidden != 0 {
		return hash, fault.WithHint(fault.Errorf(fault.Invalid, "%s has the mode %#o: others could have changed it, or read the token in it", name, mode),
			"chmod 600 "+name+"; a file that holds a hash may be readable")
	}
	return hash, nil
}
