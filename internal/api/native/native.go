// Package native is Meshtrail's own HTTP API, under /api: records of a query as
// NDJSON, a live tail, histograms, fields and values; the administrator's acts;
// and evidence. openapi.json describes all of it.
//
// The package turns HTTP into calls of the rooms below and their answers into
// JSON. It decides nothing: the scope of a read comes from package access, its
// audit record is made by package query, and every administrative act here is on
// record before it is done. It MUST NOT know how records are kept. It holds
// nothing between requests, so nothing of it survives a crash.
//
// Times in parameters are RFC 3339, Unix, or relative to now; times in answers
// are RFC 3339 with nanoseconds, UTC.
package native
