package verify

import (
	"cmp"
	"slices"
)

// Format names the shape of the JSON of a Report. Members are only ever added.
const Format = "meshtrail-verify/1"

// A Verdict is what a verification comes to.
type Verdict string

// The verdicts, from best to worst; cannot_verify stands apart: nothing that
// was found speaks against the folder, but the decisive part is missing.
const (
	Verified     Verdict = "verified"
	Incomplete   Verdict = "incomplete"
	CannotVerify Verdict = "cannot_verify"
	Tampered     Verdict = "tampered"
)

// ExitCode returns the exit code of `meshtrail verify`: 0 verified, 1 tampered,
// 2 incomplete, 3 cannot verify.
func (v Verdict) ExitCode() int {
	switch v {
	case Verified:
		return 0
	case Tampered:
		return 1
	case Incomplete:
		return 2
	}
	return 3
}

// The kinds of findings. Each decides what it means for the verdict (meaning).
const (
	KindSignature  = "signature"  // the checkpoint is not signed by the expected key
	KindKey        = "key"        // the folder's verifier key is not the pinned one
	KindCheckpoint = "checkpoint" // the checkpoint contradicts the ledger
	KindRollback   = "rollback"   // the ledger does not continue what it was before
	KindMissing    = "missing"    // a file that the ledger names is gone
	KindChanged    = "changed"    // bytes are not those that were written
	KindExtra      = "extra"      // a segment that no leaf speaks of
	KindGenesis    = "genesis"    // the history does not begin as one does
	KindLeaf       = "leaf"       // a signed leaf that contradicts others
	KindEpoch      = "epoch"      // epochs do not follow one another
	KindAccount    = "account"    // the account of a source does not add up
	KindJournal    = "journal"    // the chain of the journal is broken
	KindDamage     = "damage"     // the server itself recorded damage
	KindUnreadable = "unreadable" // a file could not be read
	KindMoving     = "moving"     // the folder changed faster than it was read
	KindNoLedger   = "no_ledger"  // there is no ledger here
	KindNoKey      = "no_key"     // there is no key to check the signature with
	KindClock      = "clock"      // the server's clock was set back a little
	KindUnknown    = "unknown"    // written by a newer version, or not ours
	KindUnfinished = "unfinished" // the rest of an act that did not finish
	KindQuarantine = "quarantine" // bytes that were moved aside

	KindDestruction = "destruction" // a destruction that did not come to its end
)

// meaning is what a finding of a kind makes of the verdict; others are notes.
var meaning = map[string]Verdict{
	KindSignature: Tampered, KindKey: Tampered, KindCheckpoint: Tampered, KindRollback: Tampered,
	KindMissing: Tampered, KindChanged: Tampered, KindExtra: Tampered, KindGenesis: Tampered,
	KindLeaf: Tampered, KindEpoch: Tampered, KindAccount: Tampered, KindJournal: Tampered, KindDamage: Tampered,
	KindUnreadable: Incomplete, KindMoving: Incomplete, KindDestruction: Incomplete,
	KindNoLedger: CannotVerify, KindNoKey: CannotVerify,
}

// A Finding names a place and what is wrong with it.
type Finding struct {
	Kind    string `json:"kind"`
	File    string `json:"file"`   // below the data folder
	Offset  int64  `json:"offset"` // of the first byte concerned; 0 for whole files
	Length  int64  `json:"length"` // in bytes; 0 if unknown or missing
	Segment string `json:"segment,omitempty"`
	Detail  string `json:"detail"`
}

// A Count is a number under a name.
type Count struct {
	Name string `json:"name"`
	N    int64  `json:"n"`
}

// Ledger says what was checked of the ledger.
type Ledger struct {
	Origin string  `json:"origin"`
	Size   int64   `json:"size"` // leaves
	Root   string  `json:"root"` // base64, as in the checkpoint
	Key    string  `json:"key"`  // the verifier key that the signature was checked with
	Pinned bool    `json:"pinned"`
	Note   string  `json:"note"` // the signed checkpoint itself
	Tiles  int     `json:"tiles"`
	Leaves []Count `json:"leaves"` // by type
	// Since is the size of the earlier checkpoint that was found to be a prefix;
	// 0 if none was given.
	Since int64 `json:"since"`
}

// Segments says what was checked of the segments.
type Segments struct {
	Listed   int    `json:"listed"` // in the ledger, and neither compacted nor destroyed
	Verified int    `json:"verified"`
	Bytes    int64  `json:"bytes"`
	Records  uint64 `json:"records"` // of the verified ones
	// MinSchema and MaxSchema are the versions of the dictionary of fields that their
	// records were written under, as the leaves say; 0 for those that do not say.
	MinSchema int `json:"minSchema"`
	MaxSchema int `json:"maxSchema"`
	// Compacted ones were replaced by others that hold the same records.
	Compacted int `json:"compacted"`
	// Destroyed ones have a certificate.
	Destroyed        int    `json:"destroyed"`
	DestroyedRecords uint64 `json:"destroyedRecords"`
}

// Journal says what was checked of the journal.
type Journal struct {
	Files    int    `json:"files"`
	Frames   uint64 `json:"frames"`
	Bytes    int64  `json:"bytes"`
	First    uint64 `json:"first"` // seq before the first frame that is still here
	Head     uint64 `json:"head"`  // seq of the last frame
	Anchor   uint64 `json:"anchor"`
	Anchored bool   `json:"anchored"` // the anchor was found in the chain
}

// Unanchored is what happened since the newest epoch: whoever holds every key
// of the server could still have rewritten it.
type Unanchored struct {
	Since  int64  `json:"since"` // ns; when the newest epoch was written
	Frames uint64 `json:"frames"`
}

// A Report is what a verification found. Its JSON has a stable order.
type Report struct {
	Format     string     `json:"format"`
	Verdict    Verdict    `json:"verdict"`
	Ledger     Ledger     `json:"ledger"`
	Epochs     int        `json:"epochs"`
	Sources    int        `json:"sources"`
	Segments   Segments   `json:"segments"`
	Journal    Journal    `json:"journal"`
	Unanchored Unanchored `json:"unanchored"`
	Tokens     *Journal   `json:"tokens,omitempty"` // the token vault, where there is one
	Findings   []Finding  `json:"findings"`         // what speaks against the folder
	Notes      []Finding  `json:"notes"`            // what is worth knowing and does not
	NotChecked []string   `json:"notChecked"`       // what this verification cannot tell
}

// maxFindings bounds a report of a folder that is nothing but damage.
const maxFindings = 10_000

func (r *Report) add(f Finding) {
	if _, bad := meaning[f.Kind]; !bad {
		if len(r.Notes) < maxFindings {
			r.Notes = append(r.Notes, f)
		}
		return
	}
	switch {
	case len(r.Findings) < maxFindings:
		r.Findings = append(r.Findings, f)
	case len(r.Findings) == maxFindings:
		r.Findings = append(r.Findings, Finding{Kind: f.Kind, Detail: "more findings than are listed"})
	}
}

// tampered counts what speaks of tampering.
func (r *Report) tampered() (n int) {
	for _, f := range r.Findings {
		if meaning[f.Kind] == Tampered {
			n++
		}
	}
	return n
}

// conclude sets the verdict and what was not checked.
func (r *Report) conclude() {
	rank := []Verdict{Verified, Incomplete, CannotVerify, Tampered}
	r.Verdict = Verified
	for _, f := range r.Findings {
		if v := meaning[f.Kind]; slices.Index(rank, v) > slices.Index(rank, r.Verdict) {
			r.Verdict = v
		}
	}
	slices.SortFunc(r.Ledger.Leaves, func(a, b Count) int { return cmp.Compare(a.Name, b.Name) })
	r.NotChecked = append(r.NotChecked,
		"the content of records: integrity is checked over ciphertext, without any decryption key",
		"the keys, the configuration and the token: whether the records can still be decrypted shows when a server opens the folder",
		"whether what the sources sent is true: the ledger says what arrived, not what happened")
	if !r.Ledger.Pinned {
		r.NotChecked = append(r.NotChecked, "that the verifier key is the right one: it came from the folder itself; pin the one you were given (--log-key)")
	}
	if r.Ledger.Since == 0 {
		r.NotChecked = append(r.NotChecked, "that the whole folder was not rolled back to an earlier state: give an earlier exported checkpoint (--checkpoint)")
	}
	if r.Segments.Compacted > 0 {
		r.NotChecked = append(r.NotChecked, "that compaction copied what it replaced: the replaced files are gone; what their leaves say was held against the leaf of the one that took their place")
	}
	if r.Segments.Destroyed > 0 {
		r.NotChecked = append(r.NotChecked, "that no copy of a destroyed data key is left: backups of the keys folder from before hold it")
	}
	r.NotChecked = append(r.NotChecked,
		"journal frames after the newest epoch: they are chained, but no checkpoint covers them yet",
		"cosignatures of witnesses: this version has none")
	if r.Findings == nil {
		r.Findings = []Finding{}
	}
	if r.Notes == nil {
		r.Notes = []Finding{}
	}
	if r.Ledger.Leaves == nil {
		r.Ledger.Leaves = []Count{}
	}
}
