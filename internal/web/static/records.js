// The table of records: one line each, opened to show every field. Whatever
// comes from a record becomes a text node, never markup.
import { clock } from "./time.js";

function element(name, props = {}, ...children) {
  const n = Object.assign(document.createElement(name), props);
  n.append(...children);
  return n;
}

const first = (fields, ...names) => {
  for (const n of names) if (fields[n] !== undefined && fields[n] !== "") return String(fields[n]);
  return "";
};

// severity of a record: its own, else what its status code says.
function severity(fields) {
  const text = first(fields, "severity_text");
  const status = Number(first(fields, "http.response.status_code"));
  const verdict = first(fields, "cilium.verdict", "mesh.verdict", "verdict");
  const level = text.toUpperCase();
  if (/^(ERR|FATAL|CRIT|ALERT|EMERG|PANIC)/.test(level) || status >= 500) return ["bad", text || String(status)];
  if (/^WARN/.test(level) || status >= 400 || /^(DROPPED|DENIED)$/i.test(verdict)) return ["warn", text || (status ? String(status) : verdict.toLowerCase())];
  return ["", text || (status ? String(status) : verdict.toLowerCase())];
}

function who(fields) {
  const service = first(fields, "service.name", "k8s.workload.name", "k8s.deployment.name", "k8s.pod.name", "destination.workload", "mesh.destination.workload");
  const ns = first(fields, "k8s.namespace.name", "service.namespace");
  if (service && ns && !service.includes("/")) return ns + "/" + service;
  return service || ns || first(fields, "mesh.type", "source", "audit.principal");
}

// summary renders a record that has no message: what an access log says first.
export function summary(record) {
  if (record.line && !record.line.startsWith("{")) return record.line;
  const f = record.fields;
  const parts = [
    first(f, "http.request.method", "rpc.method"),
    first(f, "url.path", "url.full", "http.route"),
    first(f, "http.response.status_code"),
    first(f, "envoy.response_flags", "mesh.response_flags"),
  ].filter(Boolean);
  if (parts.length > 1) {
    const from = first(f, "mesh.source.workload", "source.workload", "source.address", "client.address");
    const to = first(f, "mesh.destination.workload", "destination.workload", "server.address", "upstream.cluster", "destination.address");
    if (from || to) parts.push(`${from || "?"} → ${to || "?"}`);
    const ns = Number(first(f, "mesh.duration_ns", "mesh_duration_ns", "http.server.request.duration"));
    if (ns > 0) parts.push((ns / 1e6).toFixed(ns < 1e7 ? 2 : 0) + " ms");
    return parts.join("  ");
  }
  return record.line || JSON.stringify(f);
}

// identifier is the form of a field's name that LogQL can write.
const identifier = (name) => name.replace(/[^A-Za-z0-9_]/g, "_");

// quoted is a value as a LogQL string.
const quoted = (value) => (value.includes("`") || /[\n\r]/.test(value) ? JSON.stringify(value) : /["\\]/.test(value) ? "`" + value + "`" : `"${value}"`);

// fieldTable shows every field of a record; onFilter gets a piece of LogQL.
function fieldTable(record, onFilter) {
  const body = element("tbody");
  for (const name of Object.keys(record.fields).sort()) {
    const value = record.fields[name];
    const text = typeof value === "string" ? value : String(value);
    const act = element("td", { className: "act" });
    for (const [sign, op, says] of [["=", "=", "only records with this value"], ["≠", "!=", "without this value"]]) {
      const b = element("button", { type: "button", textContent: sign, title: `Show ${says}` });
      b.setAttribute("aria-label", `${name}: show ${says}`);
      b.onclick = () => onFilter(`${identifier(name)} ${op} ${quoted(text)}`);
      act.append(b, " ");
    }
    body.append(element("tr", {}, element("th", { scope: "row", textContent: name }), element("td", { textContent: text }), act));
  }
  const lag = record.ingest ? record.ingest - record.ms : 0;
  const foot = `class ${record.class || "?"} · event ${new Date(record.ms).toISOString()} · kept ${lag < 1000 ? Math.max(0, Math.round(lag)) + " ms" : (lag / 1000).toFixed(1) + " s"} later`;
  return element("div", { className: "fields" }, element("table", {}, body), element("div", { className: "foot-line", textContent: foot }));
}

// row renders one record as a list item.
export function row(record, onFilter) {
  const [level, label] = severity(record.fields);
  const button = element("button", { type: "button", className: "row item " + level },
    element("time", { textContent: clock(record.ms), dateTime: new Date(record.ms).toISOString() }),
    element("span", { className: "sev", textContent: label }),
    element("span", { className: "who", textContent: who(record.fields) }),
    element("span", { className: "what", textContent: summary(record) }));
  button.setAttribute("aria-expanded", "false");
  const item = element("li", {}, button);
  button.onclick = () => {
    const open = button.getAttribute("aria-expanded") === "true";
    button.setAttribute("aria-expanded", String(!open));
    if (open) item.lastElementChild.remove();
    else item.append(fieldTable(record, onFilter));
  };
  return item;
}
