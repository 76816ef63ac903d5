// The table of records: one line each, opened to show every field. Whatever
// comes from a record becomes a text node, never markup.
import { clock } from "./time.js";
import { showTrace, took, traceOf } from "./trace.js";

function element(name, props = {}, ...children) {
  const n = Object.assign(document.createElement(name), props);
  n.append(...children);
  return n;
}

const first = (fields, ...names) => {
  for (const n of names) if (fields[n] !== undefined && fields[n] !== "") return String(fields[n]);
  return "";
};

// standing of a record, and how it is shown: its severity, else the status code
// of its response, else what a network policy decided.
function standing({ severity: text, fields }) {
  const status = Number(first(fields, "http.response.status_code"));
  const verdict = first(fields, "mesh.verdict");
  const level = text.toUpperCase();
  if (/^(ERR|FATAL|CRIT|ALERT|EMERG|PANIC)/.test(level) || status >= 500) return ["bad", text || String(status)];
  if (/^WARN/.test(level) || status >= 400 || /^(DROPPED|DENIED)$/i.test(verdict)) return ["warn", text || (status ? String(status) : verdict.toLowerCase())];
  return ["", text || (status ? String(status) : verdict.toLowerCase())];
}

function who(fields) {
  const service = first(fields, "service.name", "mesh.destination.workload", "server.address", "k8s.pod.name", "kubernetes.pod.name");
  const ns = first(fields, "k8s.namespace.name", "mesh.destination.namespace", "kubernetes.namespace", "service.namespace");
  if (service && ns && !service.includes("/") && !service.includes(".")) return ns + "/" + service;
  return service || ns || first(fields, "audit.principal", "mesh.type", "log.source");
}

// summary says in one line what a record says: the access log of a mesh by what
// matters of it, a span by what it did and how long, anything else by its own line.
export function summary(record) {
  const f = record.fields;
  if (f["record.kind"] === "span") {
    const failed = f["span.status"] === "error" ? first(f, "span.status_message") || "error" : "";
    return [first(f, "span.kind"), first(f, "span.name"), took(Number(f["mesh.duration_ns"] || 0)), failed].filter(Boolean).join("  ");
  }
  const method = first(f, "http.request.method"), path = first(f, "url.path", "url.full"), verdict = first(f, "mesh.verdict");
  if (!first(f, "mesh.type") || !(method || path || verdict)) return record.line;
  const parts = [method, path, first(f, "http.response.status_code"), first(f, "mesh.response_flags")];
  const from = first(f, "mesh.source.workload", "client.address", "source.address");
  const to = first(f, "mesh.destination.workload", "server.address", "destination.address");
  if (from || to) parts.push(`${from || "?"} → ${to || "?"}`);
  if (verdict !== "FORWARDED") parts.push(verdict);
  parts.push(first(f, "mesh.drop_reason"));
  if (!method) parts.push(first(f, "network.transport"), first(f, "destination.port"));
  const ns = Number(first(f, "mesh.duration_ns"));
  if (ns > 0) parts.push((ns / 1e6).toFixed(ns < 1e7 ? 2 : 0) + " ms");
  return parts.filter((p) => p && p !== "-").join(" ");
}

// fieldTable shows every field of a record; act.filter gets a name, a value and
// whether records with it are left out.
function fieldTable(record, act) {
  const body = element("tbody");
  for (const name of Object.keys(record.fields)) { // in the order of the schema
    const value = record.fields[name];
    const text = typeof value === "string" ? value : typeof value === "object" ? JSON.stringify(value) : String(value);
    const cell = element("td", { className: "act" });
    for (const [sign, not, says] of [["=", false, "only records with this value"], ["≠", true, "without this value"]]) {
      const b = element("button", { type: "button", textContent: sign, title: `Show ${says}` });
      b.setAttribute("aria-label", `${name}: show ${says}`);
      b.onclick = () => act.filter(name, text, not);
      cell.append(b, " ");
    }
    body.append(element("tr", {}, element("th", { scope: "row", textContent: name }), element("td", { textContent: text }), cell));
  }
  const lag = record.ingest ? record.ingest - record.ms : 0;
  const foot = `class ${record.class || "?"} · event ${record.time} · kept ${lag < 1000 ? Math.max(0, Math.round(lag)) + " ms" : (lag / 1000).toFixed(1) + " s"} later`;
  const around = element("button", { type: "button", className: "around-button", textContent: "Records around it", title: "What its stream holds before and after (c)" });
  around.setAttribute("aria-expanded", "false");
  const place = element("div", { className: "around", hidden: true });
  around.onclick = () => {
    place.hidden = !place.hidden;
    around.setAttribute("aria-expanded", String(!place.hidden));
    if (!place.hidden && !place.childElementCount) surround(place, record, act, 10);
  };
  const line = element("div", { className: "foot-line" }, around);
  const spans = element("div", { className: "around trace", hidden: true });
  const id = traceOf(record.fields);
  if (id) {
    const trace = element("button", { type: "button", className: "trace-button", textContent: "Trace", title: "Spans and log records of its request (t)" });
    trace.setAttribute("aria-expanded", "false");
    trace.onclick = () => {
      spans.hidden = !spans.hidden;
      trace.setAttribute("aria-expanded", String(!spans.hidden));
      if (!spans.hidden && !spans.childElementCount) showTrace(spans, id, record, act);
    };
    line.append(trace);
  }
  line.append(element("span", { textContent: foot }));
  return element("div", { className: "fields" }, element("table", {}, body), line, place, spans);
}

// surround fills a place with the n records before and after one, of its stream,
// in the order in which they came.
async function surround(place, record, act, n) {
  place.setAttribute("aria-busy", "true");
  try {
    const { labels, records, at } = await act.around(record, n);
    const stream = Object.entries(labels).map(([k, v]) => `${k}=${v}`).join("  ") || "no labels";
    const list = element("ol", { tabIndex: 0, ariaLabel: "Records of its stream" }, ...records.map((r, i) => {
      const li = element("li", { className: i === at ? "here" : "" },
        element("time", { dateTime: r.time, textContent: clock(r.ms).slice(11) }), element("span", { textContent: r.line }));
      if (i === at) li.setAttribute("aria-current", "true");
      return li;
    }));
    place.replaceChildren(element("p", { textContent: `${at} before and ${records.length - 1 - at} after, of the stream ${stream}` }), list);
    if (records.length > 1 && (at === n || records.length - 1 - at === n) && n < 500) {
      const more = element("button", { type: "button", textContent: `${n * 5} before and after` });
      more.onclick = () => surround(place, record, act, n * 5);
      place.append(more);
    }
    list.querySelector(".here")?.scrollIntoView({ block: "nearest" });
  } catch (err) {
    place.replaceChildren(element("p", { className: "trouble", textContent: [err.message, err.hint].filter(Boolean).join("\n") }));
    place.querySelector("p").setAttribute("role", "alert");
  }
  place.removeAttribute("aria-busy");
}

const reasons = {
  slow: "the page was slower than the records",
  rate: "more came than are sent in a second",
  page: "more came than the page keeps",
};

// hole shows records that are known and not shown, and a way to load them.
export function hole(gap, load) {
  const n = `${gap.records.toLocaleString()} record${gap.records === 1 ? "" : "s"} not shown`;
  const says = element("span", { textContent: `${n}: ${reasons[gap.why] || gap.why}` });
  const button = element("button", { type: "button", textContent: "Load them" });
  button.setAttribute("aria-label", `Load ${gap.records} records that are not shown`);
  const item = element("li", { className: "hole" }, says, button);
  button.onclick = async () => {
    button.disabled = true;
    try {
      await load(item, gap);
    } catch (err) {
      says.textContent = `${n}: ${err.message}`;
      button.disabled = false;
    }
  };
  return item;
}

// recordOf finds the record that a list item shows.
const shown = new WeakMap();
export const recordOf = (item) => shown.get(item);

// row renders one record as a list item. act has filter(name, value, not),
// around(record, n), which resolves to the records around it, and trace(id, record),
// which resolves to the spans and records of its trace.
export function row(record, act) {
  const [level, label] = standing(record);
  const button = element("button", { type: "button", className: "row item " + level },
    element("time", { dateTime: new Date(record.ms).toISOString() }, element("span", { className: "day", textContent: clock(record.ms).slice(0, 11) }), clock(record.ms).slice(11)),
    element("span", { className: "standing", textContent: label, title: label }),
    element("span", { className: "who", textContent: who(record.fields) }),
    element("span", { className: "what", textContent: summary(record) }));
  button.setAttribute("aria-expanded", "false");
  const item = element("li", {}, button);
  shown.set(item, record);
  button.onclick = () => {
    const open = button.getAttribute("aria-expanded") === "true";
    button.setAttribute("aria-expanded", String(!open));
    if (open) item.lastElementChild.remove();
    else item.append(fieldTable(record, act));
  };
  return item;
}
