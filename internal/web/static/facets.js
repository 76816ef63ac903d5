// The facets beside the records: the top values of a few fields among what the
// query selects, each a filter.

// usual are the fields that are looked into unasked; those that no record has are
// not shown.
export const usual = ["mesh", "service", "namespace", "severity_text", "http_response_status_code", "http_request_method", "mesh_verdict", "mesh_mtls", "cluster", "pod", "source"];

const labels = { severity_text: "severity", http_response_status_code: "status code", http_request_method: "method", mesh_verdict: "verdict", mesh_mtls: "mTLS" };

const el = (name, props = {}, ...children) => {
  const n = Object.assign(document.createElement(name), props);
  n.append(...children);
  return n;
};

// draw fills the box with an answer of /api/v1/facets. Which fields are folded
// away stays as it was.
export function draw(box, answer, own, act) {
  const folded = new Set([...box.querySelectorAll("details:not([open])")].map((d) => d.dataset.field));
  box.replaceChildren(...answer.facets.filter((f) => f.records > 0 || own.includes(f.field)).map((f) => {
    const name = labels[f.field] || f.field;
    const head = el("summary", {}, el("span", { className: "field", textContent: name }), el("span", { className: "share", textContent: share(f.records, answer.records), title: "of the records have it" }));
    const list = el("ul", {}, ...f.values.map((v) => value(f.field, name, v, f.records, act)));
    const d = el("details", {}, head, list);
    d.dataset.field = f.field;
    d.open = !folded.has(f.field);
    if (f.tooMany) d.append(el("p", { textContent: "Too many different values to count." }));
    else if (f.records === 0) d.append(el("p", { textContent: "No record here has it." }));
    else if (f.more > 0) d.append(el("p", { textContent: `and ${f.more.toLocaleString()} more` }));
    if (own.includes(f.field)) {
      const b = el("button", { type: "button", className: "forget", textContent: "Remove this field" });
      b.onclick = () => act.forget(f.field);
      d.append(b);
    }
    return d;
  }));
}

const share = (n, of) => (n === of ? "" : of ? (100 * n / of < 1 ? "<1" : Math.round(100 * n / of)) + "%" : "");

function value(field, name, v, of, act) {
  const only = el("button", { type: "button", className: "only", title: `Show only ${name} ${v.name}` },
    el("span", { className: "value", textContent: v.name || "(empty)" }), " ", el("span", { className: "n", textContent: v.n.toLocaleString() }));
  only.onclick = () => act.filter(field, v.name, false);
  const without = el("button", { type: "button", className: "without", textContent: "≠", title: `Leave out ${v.name}` });
  without.setAttribute("aria-label", `${name} ${v.name}: leave out`);
  without.onclick = () => act.filter(field, v.name, true);
  const li = el("li", {}, only, without);
  li.style.setProperty("--share", Math.max(1, Math.round(100 * v.n / Math.max(1, of))) + "%");
  return li;
}
