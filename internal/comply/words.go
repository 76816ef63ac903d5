package comply

import "fmt"

// statement says what a report is, and what it is not.
const statement = "This report supports a SOC 2 examination. It is evidence about the log platform and about what was sent to it; it is not an opinion, and neither the platform nor its operator is attested by it. The examination is made by an independent accountant, who decides what this evidence is worth."

// closing fills in what could not be proven, the method and the glossary.
func (b *builder) closing() {
	r := b.rep
	r.NotProven = append([]string{
		"That a source sent everything it should have: the account begins where a record arrives. Hold it against a second count, such as the proxies' own request counters.",
		"That the content of a record is true: the ledger shows that it was not changed since it arrived.",
		fmt.Sprintf("The time since the newest checkpoint: %d journal frames are chained but not covered by a signature yet. Whoever holds all keys of the server could rewrite them.", r.Integrity.Unanchored.Frames),
		"That the operator did not run a second history beside this one: no independent witness signs the checkpoints in this version. Keep the checkpoint of this page yourself, and give it to the next verification.",
		"The time of the server's clock: times are its own.",
		"Alerts, incidents, access reviews, approvals and backups: this version does not record them.",
	}, r.Integrity.NotChecked...)
	r.Method = []string{
		"Populations are taken whole; nothing is sampled. A table without rows is the recorded result of its query.",
		"The account of a source is cumulative and written into the ledger at least every 60 seconds. The account at a moment is that of the first epoch at or after it, and the account of the period is the one at its end minus the one at its start, so periods that follow one another share their boundary. Until the end is sealed, the account of the moment stands for it, and what no epoch covers yet is shown as unanchored.",
		"A bucket is silent when the server sealed its account in it and the source added nothing; it is unknown when no account was sealed in it.",
		"Integrity is checked offline by recomputing every hash from the files up to the signed checkpoint; no decryption key is used.",
		"Each section states the query, its parameters, the ledger it ran under and the SHA-256 of the compact JSON of its rows.",
		"A criterion passes only if everything it needs was tested and held. Missing data, and a test that does not exist, are never a pass.",
		"The hash of the JSON form of this report is written into the ledger when it is issued, so every issued report can be found there, also one that was replaced.",
	}
	r.Glossary = []Setting{
		{"checkpoint", "the signed head of the ledger: origin, number of leaves, root hash"},
		{"class", "the retention class of a record: how long it is promised to be kept"},
		{"deduplicated", "received again by a retry, and kept once"},
		{"dropped", "not kept, by a named rule of the policy"},
		{"epoch", "a leaf with the account of every source and the position of the journal"},
		{"leaf", "one statement in the ledger; it cannot be changed or removed unseen"},
		{"ledger", "the append-only Merkle log that all evidence hangs on"},
		{"received", "records that a sender handed in and got an answer for"},
		{"rejected", "refused for good, by a named reason, and kept as dead letters"},
		{"segment", "a sealed, encrypted file of records that never changes"},
		{"source", "where records come from: a receiver and a credential"},
		{"unanchored", "what happened since the newest checkpoint"},
	}
	if r.Warnings == nil {
		r.Warnings = []string{}
	}
}
