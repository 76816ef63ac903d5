package ledger

import (
	"encoding/base64"
	"errors"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/meshtrail/meshtrail/internal/fault"
)

// CheckpointFile is the signed head of the ledger, below the ledger folder.
const CheckpointFile = "checkpoint"

// A Checkpoint is the signed head of the ledger (C2SP tlog-checkpoint).
type Checkpoint struct {
	Origin string   // the name of this history
	Size   int64    // leaves
	Root   [32]byte // RFC 6962 root over them
	Note   []byte   // the signed note, as stored and exported; read only
	// At is when the newest leaf that carries a time was written, ns. It is
	// not part of the note: the time of signing lives in the leaves.
	At int64
}

// Tree returns the head as package tlog knows it.
func (c Checkpoint) Tree() tlog.Tree { return tlog.Tree{N: c.Size, Hash: c.Root} }

// checkOrigin refuses what a note could not carry as a line of its own.
func checkOrigin(origin string) error {
	if origin == "" || strings.ContainsAny(origin, "\n\r") || strings.TrimSpace(origin) != origin {
		return fault.Errorf(fault.Invalid, "origin %q: it must be one line without space around it", origin)
	}
	return nil
}

// sign returns the checkpoint of a tree:
//
//	origin LF size LF base64(root) LF LF — name base64(key hash, signature) LF
func sign(signer note.Signer, origin string, tree tlog.Tree) (Checkpoint, error) {
	text := origin + "\n" + strconv.FormatInt(tree.N, 10) + "\n" +
		base64.StdEncoding.EncodeToString(tree.Hash[:]) + "\n"
	msg, err := note.Sign(&note.Note{Text: text}, signer)
	if err != nil {
		return Checkpoint{}, fault.Errorf(fault.Internal, "sign checkpoint: %w", err)
	}
	return Checkpoint{Origin: origin, Size: tree.N, Root: tree.Hash, Note: msg}, nil
}

// ParseCheckpoint checks that a signed note carries a valid signature of one of
// the verifiers and returns the checkpoint in it. A note that nobody known
// signed, or whose signature does not hold, is fault.Tampered; signed text that
// is no checkpoint is fault.Corrupt. Lines after the root are ignored, as the
// specification asks, but they are under the signature.
func ParseCheckpoint(msg []byte, verifiers ...note.Verifier) (Checkpoint, error) {
	n, err := note.Open(msg, note.VerifierList(verifiers...))
	if err != nil {
		var bad *note.InvalidSignatureError
		var unknown *note.UnverifiedNoteError
		switch {
		case errors.As(err, &bad):
			return Checkpoint{}, fault.Errorf(fault.Tampered, "check checkpoint: the signature of %s does not hold", bad.Name)
		case errors.As(err, &unknown):
			return Checkpoint{}, fault.Errorf(fault.Tampered, "check checkpoint: not signed by the expected key")
		}
		return Checkpoint{}, fault.Errorf(fault.Tampered, "check checkpoint: %w", err)
	}
	// note.Open ignores the unused bits of the last base64 digit; we do not, so
	// that every byte of the file is accounted for.
	for _, sig := range append(n.Sigs, n.UnverifiedSigs...) {
		if _, err := base64.StdEncoding.Strict().DecodeString(sig.Base64); err != nil {
			return Checkpoint{}, fault.Errorf(fault.Tampered, "check checkpoint: the signature of %s is not canonical base64", sig.Name)
		}
	}
	c, err := parseBody(n.Text)
	if err != nil {
		return Checkpoint{}, err
	}
	c.Note = msg
	return c, nil
}

func parseBody(text string) (Checkpoint, error) {
	line := strings.SplitN(text, "\n", 4)
	if len(line) < 4 || line[0] == "" {
		return Checkpoint{}, fault.Errorf(fault.Corrupt, "decode checkpoint: fewer than three lines")
	}
	size, err := strconv.ParseInt(line[1], 10, 64)
	if err != nil || size < 0 || line[1] != strconv.FormatInt(size, 10) {
		return Checkpoint{}, fault.Errorf(fault.Corrupt, "decode checkpoint: size %q", line[1])
	}
	root, err := base64.StdEncoding.Strict().DecodeString(line[2])
	if err != nil || len(root) != tlog.HashSize {
		return Checkpoint{}, fault.Errorf(fault.Corrupt, "decode checkpoint: root %q", line[2])
	}
	return Checkpoint{Origin: line[0], Size: size, Root: [32]byte(root)}, nil
}
