package spool

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"strings"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/journal"
	"github.com/meshtrail/meshtrail/internal/vfs"
)

const (
	stateFile    = "state"
	stateVersion = 1
	maxState     = 1 << 20
)

// numbering is how batches without an ID are numbered from a place on.
type numbering struct {
	Origin string `json:"origin"`
	Epoch  uint64 `json:"epoch"`
	Number uint64 `json:"number"` // of the next record
	// breaks are the journal seqs before which batches were lost: from each on,
	// the next epoch counts. They ascend, and go when they are crossed. The
	// journal remembers them.
	breaks []uint64
}

// cross moves into the epoch of the frame seq.
func (n *numbering) cross(seq uint64) {
	for len(n.breaks) > 0 && seq >= n.breaks[0] {
		n.breaks = n.breaks[1:]
		n.Epoch, n.Number = n.Epoch+1, 0
	}
}

// state is the content of the state file: one JSON object and, on a second
// line, its SHA-256 as hex. Only the journal's payloads are secret.
type state struct {
	Version int `json:"version"`
	numbering
	// Highest is the highest epoch that may have been given out.
	Highest uint64 `json:"highestEpoch"`
	Acked   uint64 `json:"acked"` // seq of the last batch that the upstream has
	Hash    []byte `json:"hash"`  // chain value there
}

// anchor returns the position of the last acknowledged batch, if any.
func (s *state) anchor() *journal.Position {
	if s.Acked == 0 || len(s.Hash) != 32 {
		return nil
	}
	return &journal.Position{Seq: s.Acked, Hash: [32]byte(s.Hash)}
}

func newState() state {
	var id [12]byte
	rand.Read(id[:])
	return state{numbering: numbering{Origin: "spool:" + hex.EncodeToString(id[:]), Epoch: 1}, Highest: 1}
}

// readState returns the saved state, or a new one if there is none or it cannot
// be read: then all batches go out again under a new name, and none is lost.
func readState(f vfs.FS, log *slog.Logger) (s state, known bool, err error) {
	data, err := vfs.ReadFile(f, stateFile)
	if errors.Is(err, fs.ErrNotExist) {
		return newState(), false, nil
	}
	if err != nil {
		return s, false, err
	}
	if s, err = decodeState(data); err != nil {
		log.Error("spool state cannot be read: what was sent before may be sent twice", "err", err)
		return newState(), false, nil
	}
	return s, true, nil
}

func decodeState(data []byte) (s state, err error) {
	if len(data) > maxState {
		return s, fault.Errorf(fault.Corrupt, "spool state has %d bytes", len(data))
	}
	body, sum, _ := strings.Cut(string(data), "\n")
	want := sha256.Sum256([]byte(body))
	if strings.TrimSuffix(sum, "\n") != hex.EncodeToString(want[:]) {
		return s, fault.Errorf(fault.Corrupt, "spool state does not match its sum")
	}
	if err := json.Unmarshal([]byte(body), &s); err != nil {
		return s, fault.Errorf(fault.Corrupt, "decode spool state: %w", err)
	}
	switch {
	case s.Version != stateVersion:
		return s, fault.Errorf(fault.Corrupt, "spool state has version %d, this program reads %d", s.Version, stateVersion)
	case s.Origin == "" || len(s.Origin) > 128 || s.Number > maxNumber || s.Highest > maxNumber || s.Epoch > s.Highest:
		return s, fault.Errorf(fault.Corrupt, "spool state holds impossible values")
	}
	return s, nil
}

func (s *state) encode() ([]byte, error) {
	s.Version = stateVersion
	body, err := json.Marshal(s)
	if err != nil {
		return nil, fault.Errorf(fault.Internal, "encode spool state: %w", err)
	}
	sum := sha256.Sum256(body)
	out := append(body, '\n')
	out = append(out, hex.EncodeToString(sum[:])...)
	return append(out, '\n'), nil
}

func writeState(f vfs.FS, s *state) error {
	data, err := s.encode()
	if err != nil {
		return err
	}
	return vfs.WriteFile(f, stateFile, data)
}
