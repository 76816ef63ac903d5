package verify

import (
	"fmt"
	"io"
	"strings"
)

// maxShown is how many findings of one list people are shown; the JSON has all.
const maxShown = 100

// WriteText renders the report for people.
func (r *Report) WriteText(w io.Writer) error {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("%s", headline[r.Verdict])
	line("")
	if r.Ledger.Origin != "" {
		key := "key from the folder"
		if r.Ledger.Pinned {
			key = "pinned key"
		}
		line("  ledger    %s, %d leaves in %d tiles, signature by the %s", r.Ledger.Origin, r.Ledger.Size, r.Ledger.Tiles, key)
		line("            root %s", r.Ledger.Root)
		if r.Ledger.Since > 0 {
			line("            continues the earlier checkpoint of %d leaves", r.Ledger.Since)
		}
		line("  accounts  %d sources over %d epochs", r.Sources, r.Epochs)
		line("  segments  %d of %d verified, %d records, %d bytes", r.Segments.Verified, r.Segments.Listed, r.Segments.Records, r.Segments.Bytes)
		if n := r.Segments; n.Compacted+n.Destroyed > 0 {
			line("            %d more were compacted, and %d destroyed with a certificate (%d records)", n.Compacted, n.Destroyed, n.DestroyedRecords)
		}
		line("  journal   %d frames in %d files, up to frame %d", r.Journal.Frames, r.Journal.Files, r.Journal.Head)
		if r.Tokens != nil {
			line("  tokens    %d frames of the vault, %d of them in the ledger", r.Tokens.Frames, min(r.Tokens.Anchor, r.Tokens.Frames))
		}
		line("  unanchored %d frames since the epoch of %s", r.Unanchored.Frames, stamp(r.Unanchored.Since))
		line("")
	}
	list := func(title string, all []Finding) {
		if len(all) == 0 {
			return
		}
		line("%s (%d)", title, len(all))
		for i, f := range all {
			if i == maxShown {
				line("  … and %d more: see --json", len(all)-i)
				break
			}
			line("  %-11s %s at byte %d", f.Kind, f.File, f.Offset)
			line("              %s", f.Detail)
		}
		line("")
	}
	list("FINDINGS", r.Findings)
	list("NOTES", r.Notes)
	line("NOT CHECKED")
	for _, s := range r.NotChecked {
		line("  - %s", s)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

var headline = map[Verdict]string{
	Verified:     "VERIFIED: nothing that the ledger covers was changed, dropped, reordered or rolled back.",
	Tampered:     "TAMPERED: what is kept is not what was written. The places are named below.",
	Incomplete:   "INCOMPLETE: nothing contradicts the ledger so far, but not everything could be read.",
	CannotVerify: "CANNOT VERIFY: the ledger or its key is not here.",
}
