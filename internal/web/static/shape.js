// The shapes of the API: what is asked in which parameters, and what an answer
// looks like in the page's own words. Nothing else in the page knows them.
//
// A question is {q, lang}; a range {from, to} in milliseconds.

const instant = (ms) => new Date(ms).toISOString();

const asked = ({ q, lang }) => (lang === "logql" ? { query: q || "{}" } : { query: q, lang });

// record turns the API's record into the page's: ms is its time rounded down, time
// the whole of it.
export function record(o) {
  return { time: o.time, ms: Date.parse(o.time), ingest: Date.parse(o.ingest), ord: o.ord, class: o.class, severity: o.severity || "", line: o.line, fields: o.fields };
}

export const queryRequest = (a, w, limit) => ["/api/v1/query", { ...asked(a), from: instant(w.from), to: instant(w.to), limit, order: "newest" }];

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
export const histogramRequest = (a, w, stepMs, by) => ["/api/v1/histogram", {
  ...asked(a), from: instant(Math.floor(w.from / stepMs) * stepMs), to: instant(Math.ceil(w.to / stepMs) * stepMs), step: stepMs / 1000 + "s", by, groups: 6,
}];

export function readHistogram(o) {
  const groups = o.groups.map((g) => ({ name: g.value, counts: g.counts }));
  if (o.rest && o.rest.some((n) => n > 0)) groups.push({ name: "others", counts: o.rest });
  return { from: Date.parse(o.from), to: Date.parse(o.to), step: o.stepMs, groups };
}

// The points of a metric query stand at round times.
export const metricRequest = (a, w, stepMs) => ["/api/v1/metric", {
  query: a.q, from: instant(Math.ceil(w.from / stepMs) * stepMs), to: instant(Math.max(Math.ceil(w.from / stepMs), Math.floor(w.to / stepMs)) * stepMs), step: stepMs / 1000 + "s",
}];

// readMetric turns an answer into {series: [{labels, points: [[ms, number], …]}]}.
export function readMetric(o) {
  const number = (s) => (s === "+Inf" ? Infinity : s === "-Inf" ? -Infinity : Number(s));
  return {
    series: o.series.map((s) => ({ labels: s.labels, points: s.points.map((p) => [Date.parse(p.time), number(p.value)]) })),
    partial: o.partial ? (o.warnings || []).join("; ") || "something could not be read" : "",
  };
}

export const tailRequest = (a, after) => ["/api/v1/tail", { ...asked(a), after }];

// gapRequest asks for everything behind a place, late if it must be.
export const gapRequest = (a, after) => ["/api/v1/tail", { ...asked(a), after, complete: true }];

export const contextRequest = (r, n) => ["/api/v1/context", { time: r.time, ord: r.ord, before: n, after: n, class: r.class === "audit" ? "audit" : "" }];

// The times only say about when the trace was: the server looks an hour around them.
export const traceRequest = (id, r) => ["/api/v1/trace/" + encodeURIComponent(id), { from: new Date(r.ms).toISOString(), to: new Date(r.ms).toISOString() }];

export const readContext = (o) => ({ labels: o.labels, records: o.records.map(record), at: o.at });

export const facetsRequest = (a, w, fields, limit) => ["/api/v1/facets", { ...asked(a), from: instant(w.from), to: instant(w.to), fields: fields.join(","), limit }];

export const fieldsRequest = (w) => ["/api/v1/fields", { from: instant(w.from), to: instant(w.to) }];

export const valuesRequest = (field, w, limit) => ["/api/v1/values", { field, from: instant(w.from), to: instant(w.to), limit }];

export const exportRequest = (a, w, format) => ["/api/v1/export", { ...asked(a), from: instant(w.from), to: instant(w.to), format }];

// about says in one line what the server is.
export function about(status) {
  const n = status.store.records;
  return `${status.principal}@${status.tenant} · ${n.toLocaleString()} records · ${status.store.segments} segments · ledger ${status.checkpoint.size} · ${status.version}`;
}
