// The trace of a record: its spans as bars over time, each below its parent, and
// between them the log records that were written meanwhile. Whatever comes from a
// record becomes a text node, never markup.
import { clock } from "./time.js";

// rows that are drawn at most: a trace may have many thousand spans.
const most = 1000;

// traceOf returns the id by which the trace of a record is asked for, or "".
export function traceOf(fields) {
  const trace = String(fields["trace_id"] || fields["traceid"] || fields["traceId"] || fields["trace.id"] || "");
  if (/^[0-9a-f]{1,32}$/i.test(trace)) return trace;
  const request = String(fields["http.request.header.x-request-id"] || "");
  return /^[0-9A-Za-z._:/+=-]{8,128}$/.test(request) ? request : "";
}

const nanos = (time) => {
  const [, seconds, part = ""] = /^(.*?)(?:\.(\d+))?Z$/.exec(time) || [];
  return seconds ? BigInt(Date.parse(seconds + "Z")) * 1000000n + BigInt((part + "000000000").slice(0, 9)) : 0n;
};

// sorted returns nodes by their start, the last one first: as a stack takes them.
const sorted = (list) => [...list].sort((a, b) => (a.start < b.start ? 1 : a.start > b.start ? -1 : a.span && !b.span ? 1 : 0));

// lasted returns how long the exchange took that a record tells of, in ns: what
// proxies of the Envoy family log bears the time at which it began.
const lasted = ({ fields }) => (/^(istio|envoy)/.test(fields["parse.format"] || "") && Math.round(Number(fields["mesh.duration_ns"])) || 0);

// arrange puts spans and log records in the order in which they are drawn: a span,
// what was logged within it, then its children by their start. at and width are
// parts of the whole time, 0 to 1. A span whose parent is not there is a root.
export function arrange({ spans, records }) {
  const nodes = spans.map((span) => ({ span, start: BigInt(span.startNs), end: BigInt(span.startNs) + BigInt(span.durationNs), below: [] }));
  const byId = new Map();
  for (const n of nodes) if (!byId.has(n.span.spanId) || !n.span.parentSpanId) byId.set(n.span.spanId, n);
  const roots = [];
  for (const n of nodes) {
    const same = byId.get(n.span.spanId); // a server that shares its client's id stands below it
    const parent = same !== n ? same : byId.get(n.span.parentSpanId);
    (parent && parent !== n ? parent.below : roots).push(n);
  }
  const logs = [];
  for (const record of records) {
    const at = nanos(record.time), n = { record, start: at, end: at + BigInt(Math.max(lasted(record), 0)), below: [] };
    logs.push(n);
    (byId.get(String(record.fields["span_id"] || ""))?.below || roots).push(n);
  }
  const all = nodes.concat(logs);
  const first = all.reduce((a, n) => (a === null || n.start < a ? n.start : a), null) ?? 0n;
  const last = all.reduce((a, n) => (n.end > a ? n.end : a), first);
  const whole = Number(last - first) || 1;
  const rows = [], seen = new Set();
  const place = (list) => { // without recursion: a trace may be a chain of many thousand spans
    const stack = sorted(list).map((n) => [n, 0]);
    while (stack.length) {
      const [n, depth] = stack.pop();
      if (seen.has(n)) continue;
      seen.add(n);
      rows.push({ ...n, depth, at: Number(n.start - first) / whole, width: Number(n.end - n.start) / whole });
      for (const below of sorted(n.below)) stack.push([below, depth + 1]);
    }
  };
  place(roots);
  place(nodes.filter((n) => !seen.has(n))); // parents in a circle
  const services = [...new Set(spans.map((s) => s.service || ""))];
  return { rows, services, whole };
}

export function took(ns) {
  if (ns < 1e3) return ns + " ns";
  if (ns < 1e6) return (ns / 1e3).toFixed(ns < 1e4 ? 1 : 0) + " µs";
  if (ns < 1e9) return (ns / 1e6).toFixed(ns < 1e7 ? 2 : 0) + " ms";
  return (ns / 1e9).toFixed(2) + " s";
}

function element(name, props = {}, ...children) {
  const n = Object.assign(document.createElement(name), props);
  n.append(...children);
  return n;
}

function bar(row, services) {
  const of = element("span", { className: "time-line" });
  const long = row.span || row.width > 0;
  const color = row.span ? services.indexOf(row.span.service || "") % 8 : row.record.fields["mesh.reporter"] === "destination" ? 1 : 0;
  const b = element("span", { className: long ? "b" + color : "mark" });
  b.style.left = (row.at * 100).toFixed(3) + "%";
  if (long) b.style.width = Math.max(row.width * 100, 0.3).toFixed(3) + "%";
  of.append(b);
  return of;
}

// details of a span: what it says of itself, as a list of names and values.
function details(span) {
  const list = element("dl");
  const add = (name, value) => list.append(element("dt", { textContent: name }), element("dd", { textContent: value }));
  for (const [name, value] of [["span", span.spanId], ["kind", span.kind], ["peer", span.peer], ["status", [span.status, span.statusMessage].filter(Boolean).join(": ")], ["start", span.time]]) {
    if (value) add(name, value);
  }
  for (const part of [span.attributes, span.resource]) for (const [name, value] of Object.entries(part)) add(name, String(value));
  for (const e of span.events) add(e.time.slice(11), [e.name, ...Object.entries(e.attributes).map(([k, v]) => `${k}=${v}`)].filter(Boolean).join("  "));
  for (const l of span.links) add("link", `${l.traceId} ${l.spanId || ""}`);
  return list;
}

function drawn(row, services, here) {
  const { span, record } = row;
  const name = span ? `${span.service || "?"}  ${span.name || ""}` : record.line;
  const label = element("span", { className: "name", textContent: name, title: name });
  label.style.paddingLeft = Math.min(row.depth, 20) * 12 + "px";
  const right = element("span", { className: "took", textContent: span ? took(span.durationNs) : lasted(record) > 0 ? took(lasted(record)) : clock(Date.parse(record.time)).slice(11) });
  const failed = span && span.status === "error";
  const line = element(span ? "button" : "div", { className: "span" + (span ? "" : " log") + (failed ? " bad" : "") }, label, bar(row, services), right);
  const item = element("li", { className: here ? "here" : "" }, line);
  if (here) item.setAttribute("aria-current", "true");
  if (span) {
    line.type = "button";
    line.setAttribute("aria-expanded", "false");
    line.onclick = () => {
      const open = line.getAttribute("aria-expanded") === "true";
      line.setAttribute("aria-expanded", String(!open));
      if (open) item.lastElementChild.remove();
      else item.append(details(span));
    };
  }
  return item;
}

// showTrace fills a place with the trace of a record. act has trace(id, record),
// which resolves to the answer of the API, and filter(name, value, not).
export async function showTrace(place, id, record, act) {
  place.setAttribute("aria-busy", "true");
  try {
    const answer = await act.trace(id, record);
    const { rows, services, whole } = arrange(answer);
    const is = (row) => (row.record ? row.record.ord === record.ord : row.span.spanId === record.fields["span_id"] && record.fields["record.kind"] === "span");
    const failed = answer.spans.filter((s) => s.status === "error").length;
    const many = (n, what) => `${n.toLocaleString()} ${what}${n === 1 ? "" : "s"}`;
    const says = [`${many(answer.spans.length, "span")} of ${many(services.length, "service")}`, many(answer.records.length, "log record"), took(whole)];
    if (failed) says.push(`${failed} failed`);
    if (rows.length > most) says.push(`the first ${most} are shown`);
    const list = element("ol", { tabIndex: 0, ariaLabel: "Spans and log records of the trace" }, ...rows.slice(0, most).map((row) => drawn(row, services, is(row))));
    place.replaceChildren(element("p", { textContent: says.join(" · ") }), list);
    for (const w of answer.warnings || []) place.append(element("p", { className: "trouble", textContent: w }));
    const name = answer.traceId ? "trace_id" : "http.request.header.x-request-id";
    const back = element("button", { type: "button", textContent: "Its records", title: "Show only records of this trace" });
    back.onclick = () => act.filter(name, answer.traceId || id, false);
    place.append(back);
    list.querySelector(".here")?.scrollIntoView({ block: "nearest" });
  } catch (err) {
    place.replaceChildren(element("p", { className: "trouble", textContent: [err.message, err.hint].filter(Boolean).join("\n") }));
    place.querySelector("p").setAttribute("role", "alert");
  }
  place.removeAttribute("aria-busy");
}
