// The search bar: its language, its suggestions, and the place of an error.
import { request } from "./api.js";
import { detect, around, languages } from "./lang.js";
import { suggest } from "./suggest.js";
import { $, state, memory, pastOnly, window_ } from "./state.js";
import * as shape from "./shape.js";

const examples = { search: 'service:checkout status:>=500 "timed out"', logql: '{mesh="istio"} | http_response_status_code >= 500' };

export function showLanguage() {
  for (const l of languages) $("lang-" + l).checked = l === state.lang;
  $("query").placeholder = examples[state.lang];
}

// language is the reader's choice; it stays in the tab.
function language(l) {
  state.lang = state.chosen = l;
  memory.set("lang", l);
  showLanguage();
}

// typed takes a text for LogQL as long as it can be nothing else.
export function typed() {
  const is = detect($("query").value);
  if ((is || state.chosen) !== state.lang) {
    state.lang = is || state.chosen;
    showLanguage();
  }
}

// showWrong shows where in the query an error is, and offers the other language.
export function showWrong(at, hint = "", again = () => {}) {
  $("wrong").hidden = !at;
  $("query").setAttribute("aria-invalid", String(Boolean(at)));
  if (!at) return;
  const cut = around(state.q, at);
  const mark = Object.assign(document.createElement("mark"), { textContent: cut.wrong || " " });
  $("wrong-query").replaceChildren(cut.before, mark, cut.after, "\n" + " ".repeat([...cut.before].length) + "^");
  $("wrong-text").textContent = `At character ${at.col}: ${at.text}`;
  $("wrong-hint").textContent = hint;
  const other = state.lang === "logql" ? "search" : "logql";
  $("wrong-other").textContent = other === "search" ? "Read it as a search" : "Read it as LogQL";
  $("wrong-other").hidden = detect(state.q) === state.lang;
  $("wrong-other").onclick = () => {
    language(other);
    again();
  };
  if (document.activeElement === $("query")) $("query").setSelectionRange(cut.before.length, cut.before.length + cut.wrong.length);
  const mid = $("wrong-query");
  mid.scrollLeft = Math.max(0, mark.offsetLeft - mid.clientWidth / 2);
}

// What suggestions need is asked for once a minute and range.
export const known = new Map();
function once(key, ask) {
  const had = known.get(key);
  if (had && Date.now() - had.at < 60000) return had.value;
  if (known.size > 200) known.clear();
  const value = ask().catch((err) => {
    known.delete(key);
    throw err;
  });
  known.set(key, { at: Date.now(), value });
  return value;
}
const rangeKey = () => (pastOnly() ? `${state.from}-${state.to}` : state.range);
export const fieldsNow = () => once(`fields ${rangeKey()}`, async () => (await (await request(...shape.fieldsRequest(window_()))).json()).fields);
const valuesNow = (field) => once(`values ${rangeKey()} ${field}`, async () => (await (await request(...shape.valuesRequest(field, window_(), 500))).json()).values);

export function listenBar() {
  $("query").addEventListener("input", typed);
  for (const l of languages) {
    $("lang-" + l).addEventListener("change", () => {
      language(l);
      $("query").focus();
    });
  }
  suggest($("query"), $("suggestions"), { ask: { fields: fieldsNow, values: valuesNow }, lang: () => state.lang, changed: typed });
}
