package app

import (
	"context"
	"encoding/hex"
	"errors"
	"io/fs"
	"time"

	"github.com/meshtrail/meshtrail/internal/access"
	"github.com/meshtrail/meshtrail/internal/config"
	"github.com/meshtrail/meshtrail/internal/crypt"
	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/journal"
	"github.com/meshtrail/meshtrail/internal/ledger"
	"github.com/meshtrail/meshtrail/internal/policy"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/vfs"
)

const (
	tokensDir = "tokens"
	// policyFile holds the rendering of the policy in force, so that the next
	// start can say what changed. The ledger has its hash.
	policyFile = "policy.md"
)

// What keys of a tenant are for. They are for ever.
const (
	hashPurpose  = "hash"
	tokenPurpose = "tokens"
)

// lastLeaves returns the newest policy and tokens leaves. Every start writes
// both, the tokens leaf first if there is a vault, so it is enough to go back to
// the last start.
func lastLeaves(l *ledger.Ledger) (p *ledger.Policy, t *ledger.Tokens, err error) {
	const step = 4 * ledger.TileWidth
	for to := l.Checkpoint().Size; to > 0 && p == nil; to -= step {
		err := l.Entries(max(0, to-step-1), to, func(_ int64, data []byte) error { // one more: the leaf before
			leaf, err := ledger.Decode(data)
			switch v := leaf.Value.(type) {
			case ledger.Policy:
				p = &v
			case ledger.Tokens:
				if t == nil || v.Seq >= t.Seq {
					t = &v
				}
			}
			return err
		})
		if err != nil {
			return nil, nil, err
		}
	}
	return p, t, nil
}

// openPolicy opens the token vault, if there is one or a rule wants one, and
// compiles the policy.
func (s *server) openPolicy() error {
	var (
		last *ledger.Tokens
		err  error
	)
	if s.lastPolicy, last, err = lastLeaves(s.ledger); err != nil {
		return err
	}
	have, err := vfs.Exists(s.root, tokensDir)
	if err != nil {
		return err
	}
	if have || last != nil || s.cfg.Policy.NeedsVault() {
		if err := s.openTokens(last); err != nil {
			return err
		}
	}
	s.policy, err = policy.NewWith(s.cfg.Policy, policy.Secrets{
		HashKey: func(tenant record.TenantID) (*crypt.Key, error) { return s.keys.TenantKey(string(tenant), hashPurpose) },
		Vault:   s.tokens,
	})
	return err
}

func (s *server) openTokens(last *ledger.Tokens) error {
	o := policy.VaultOptions{
		FS: vfs.Sub(s.root, tokensDir), Key: s.keys.VaultKey(), MaxTokens: s.cfg.Policy.MaxTokens,
		TenantKey: func(tenant record.TenantID) (*crypt.Key, error) {
			return s.keys.TenantKey(string(tenant), tokenPurpose)
		},
		Logger: s.log, Metrics: s.metrics, Poisoned: s.die,
	}
	if last != nil && last.Seq > 0 {
		o.Anchor = &journal.Position{Seq: last.Seq}
		if n, err := hex.Decode(o.Anchor.Hash[:], []byte(last.Hash)); err != nil || n != len(o.Anchor.Hash) {
			return fault.Errorf(fault.Corrupt, "the newest tokens leaf has no position of the vault")
		}
	}
	v, err := policy.OpenVault(o)
	if err != nil {
		return err
	}
	s.tokens = v
	s.onClose("token vault", func() error {
		return errors.Join(s.noteTokens(context.Background()), v.Close())
	})
	if last != nil {
		s.notedTokens = last.Seq
	}
	for _, d := range v.Recovery().Damage {
		leaf := ledger.Damage{At: time.Now().UnixNano(), File: tokensDir + "/" + d.File, Offset: d.Offset, Detail: d.Detail}
		if d.Moved != "" {
			leaf.Moved = tokensDir + "/quarantine/" + d.Moved
		}
		s.log.Error("token vault is damaged: tokens in it can not be turned back", "file", leaf.File, "offset", d.Offset, "detail", d.Detail)
		if _, err := s.ledger.Append(context.Background(), leaf); err != nil {
			return err
		}
	}
	return nil
}

// noteTokens puts into the ledger how far the token vault reaches, if it has
// grown.
func (s *server) noteTokens(ctx context.Context) error {
	s.noting.Lock()
	defer s.noting.Unlock()
	if s.tokens == nil || s.tokens.Head().Seq == s.notedTokens {
		return nil
	}
	return s.putTokens(ctx)
}

// putTokens is noteTokens without asking. s.noting is held, or nothing runs yet.
func (s *server) putTokens(ctx context.Context) error {
	head := s.tokens.Head()
	_, err := s.ledger.Append(ctx, tokensLeaf(head))
	if err == nil {
		s.notedTokens = head.Seq
	}
	return err
}

func tokensLeaf(head journal.Position) ledger.Tokens {
	return ledger.Tokens{At: time.Now().UnixNano(), Seq: head.Seq, Hash: hex.EncodeToString(head.Hash[:])}
}

// notePolicy puts the policy of this start into the ledger, and how it differs
// from the one before.
func (s *server) notePolicy(ctx context.Context) error {
	doc := s.document()
	is := doc.Markdown()
	leaf := ledger.Policy{At: time.Now().UnixNano(), Version: s.o.Version, SHA256: doc.SHA256, Owner: doc.Owner, Changes: []string{}}
	var was []byte
	if s.lastPolicy != nil {
		leaf.Was = s.lastPolicy.SHA256
		var err error
		was, err = vfs.ReadFile(s.root, policyFile)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			leaf.Note = "the rendering of the policy before is gone: all of this one is listed"
		case err != nil:
			return err
		case policy.HashOf(was) != leaf.Was:
			leaf.Note, was = "the rendering of the policy before is not the one that the ledger knows: all of this one is listed", nil
		}
	}
	if leaf.Was != leaf.SHA256 {
		leaf.Changes, leaf.Omitted = bound(policy.Diff(was, is))
		if leaf.Was != "" && len(leaf.Changes) == 0 {
			leaf.Note = "what changed is not shown in the rendering: a text that a rule looks for"
		}
		s.log.Info("the logging policy changed", "sha256", leaf.SHA256, "was", leaf.Was, "lines", len(leaf.Changes)+leaf.Omitted)
	} else {
		leaf.Note = ""
	}
	leaves := []any{leaf}
	if s.tokens != nil {
		head := s.tokens.Head()
		leaves = []any{tokensLeaf(head), leaf}
		s.notedTokens = head.Seq
	}
	if _, err := s.ledger.Append(ctx, leaves...); err != nil {
		return err
	}
	if string(was) == string(is) {
		return nil
	}
	return vfs.WriteFile(s.root, policyFile, is)
}

// bound keeps the first lines that a leaf has room for.
func bound(lines []string) (kept []string, omitted int) {
	room := ledger.MaxChanges
	for i, l := range lines {
		if len(l) > 2000 {
			l = l[:2000] + " … (cut)"
		}
		if room -= 2*len(l) + 4; room < 0 { // JSON may write a byte as two
			return kept, len(lines) - i
		}
		kept = append(kept, l)
	}
	if kept == nil {
		kept = []string{}
	}
	return kept, 0
}

// document renders the policy in force.
func (s *server) document() *policy.Document { return s.policy.Document(readers()) }

func readers() policy.Readers {
	return policy.Readers{
		Logs: access.RolesWith(access.LogsRead), Audit: access.RolesWith(access.AuditRead),
		Reveal: access.RolesWith(access.Reveal), Admin: access.RolesWith(access.Admin),
	}
}

// Document renders the policy of a configuration that is not in force.
func Document(c policy.Config) (*policy.Document, error) {
	t, err := policy.NewTrial(c)
	if err != nil {
		return nil, err
	}
	return t.Document(readers()), nil
}

// parsePolicy reads the policy of a configuration file.
func parsePolicy(data []byte) (policy.Config, error) {
	c, err := config.Parse(data)
	if err != nil {
		return policy.Config{}, err
	}
	return c.Policy, nil
}

// reveal turns a token of a tenant back.
func (s *server) reveal(tenant record.TenantID, token string) (string, error) {
	if s.tokens == nil {
		return "", fault.Errorf(fault.NotFound, "there is no token vault here: no rule tokenises")
	}
	return policy.Reveal(s.tokens, tenant, token)
}

// sealAll seals everything received so far, with the token vault as it is.
func (s *server) sealAll(ctx context.Context) error {
	if err := s.noteTokens(ctx); err != nil {
		return err
	}
	return s.store.Seal(ctx)
}
