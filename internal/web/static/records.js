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
// matters of it, anything else by its own line.
export function summary(record) {
  const f = record.fields;
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

// identifier is the form of a field's name that LogQL can write.
const identifier = (name) => name.replace(/[^A-Za-z0-9_]/g, "_");

// quoted is a value as a LogQL string.
const quoted = (value) => (value.includes("`") || /[\n\r]/.test(value) ? JSON.stringify(value) : /["\\]/.test(value) ? "`" + value + "`" : `"${value}"`);

// fieldTable shows every field of a record; onFilter gets a piece of LogQL.
function fieldTable(record, onFilter) {
  const body = element("tbody");
  for (const name of Object.keys(record.fields)) { // in the order of the schema
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
  const [level, label] = standing(record);
  const button = element("button", { type: "button", className: "row item " + level },
    element("time", { dateTime: new Date(record.ms).toISOString() }, element("span", { className: "day", textContent: clock(record.ms).slice(0, 11) }), clock(record.ms).slice(11)),
    element("span", { className: "standing", textContent: label, title: label }),
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
