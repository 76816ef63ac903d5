// The shapes of the API: what is asked in which parameters, and what an answer
// looks like in the page's own words. Nothing else in the page knows them.

const instant = (ms) => new Date(ms).toISOString();

// record turns the API's record into {ms, ingest, ord, class, line, fields}.
function record(o) {
  return { ms: Date.parse(o.time), ingest: Date.parse(o.ingest), ord: o.ord, class: o.class, severity: o.severity || "", line: o.line, fields: o.fields };
}

// identity tells records apart: their place in the commit order.
export const identity = (r) => r.ord;

// later compares two places in the commit order, which exceed what a number holds.
export const later = (a, b) => a.length - b.length || (a < b ? -1 : a > b ? 1 : 0);

export const queryRequest = (q, w, limit) => ["/api/v1/query", { query: q || "{}", from: instant(w.from), to: instant(w.to), limit, order: "newest" }];

// readQuery takes one line of an answer: a record, or the manifest that ends it.
export function readQuery(o, answer) {
  if (!o.manifest) {
    answer.records.push(record(o));
    return;
  }
  answer.whole = true;
  if (o.manifest.partial) answer.partial = (o.manifest.warnings || []).join("; ") || "something could not be read";
}

// The bars of a histogram begin at round times, so the first reaches back a
// little beyond the range.
export const histogramRequest = (q, w, stepMs, by) => ["/api/v1/histogram", {
  query: q || "{}", from: instant(Math.floor(w.from / stepMs) * stepMs), to: instant(Math.ceil(w.to / stepMs) * stepMs), step: stepMs / 1000 + "s", by, groups: 6,
}];

export function readHistogram(o) {
  const groups = o.groups.map((g) => ({ name: g.value, counts: g.counts }));
  if (o.rest && o.rest.some((n) => n > 0)) groups.push({ name: "others", counts: o.rest });
  return { from: Date.parse(o.from), to: Date.parse(o.to), step: o.stepMs, groups };
}

export const tailRequest = (q, after) => ["/api/v1/tail", { query: q || "{}", after }];

// readTail turns a server-sent event into records and a number that did not fit.
export function readTail(e) {
  if (e.event === "dropped") return { records: [], dropped: JSON.parse(e.data).records };
  if (e.event === "failed") throw new Error(JSON.parse(e.data).error.message);
  if (e.event !== "message") return { records: [], dropped: 0 };
  return { records: [record(JSON.parse(e.data))], dropped: 0 };
}

// about says in one line what the server is.
export function about(status) {
  const n = status.store.records;
  return `${status.principal}@${status.tenant} · ${n.toLocaleString()} records · ${status.store.segments} segments · ledger ${status.checkpoint.size} · ${status.version}`;
}
