// What is asked: the state of the page, in the fragment of its address, and what the
// tab remembers besides its token.
import { token } from "./api.js";
import { span } from "./time.js";
import { detect, isMetric, languages } from "./lang.js";

export const $ = (id) => document.getElementById(id);

// memory is of the tab.
export const memory = {
  get: (key, fallback) => {
    try {
      return JSON.parse(sessionStorage.getItem("meshtrail." + key)) ?? fallback;
    } catch {
      return fallback;
    }
  },
  set: (key, value) => sessionStorage.setItem("meshtrail." + key, JSON.stringify(value)),
};

const remembered = memory.get("lang", "");
export const state = { q: "", lang: languages.includes(remembered) ? remembered : "search", range: "15m", from: 0, to: 0, by: "mesh", live: true };
state.chosen = state.lang; // by the reader; lang is another while the text shows that it is LogQL
export const metrical = () => isMetric(state.q, state.lang);
export const pastOnly = () => state.range === "custom";

// readAddress takes the token out of the fragment and the state from the rest.
export function readAddress() {
  const hash = new URLSearchParams(location.hash.slice(1));
  if (hash.has("token")) {
    token.set(hash.get("token"));
    hash.delete("token");
  }
  if (hash.has("q")) {
    state.q = hash.get("q").replace(/[\r\n]+/g, " ");
    state.lang = languages.includes(hash.get("lang")) ? hash.get("lang") : "logql"; // links of before had no other
    if (!detect(state.q)) state.chosen = state.lang;
  }
  if (hash.has("range")) state.range = hash.get("range");
  if (hash.has("by")) state.by = hash.get("by");
  if (hash.has("from") && hash.has("to")) Object.assign(state, { range: "custom", from: Number(hash.get("from")), to: Number(hash.get("to")), live: false });
  writeAddress();
}

export function writeAddress() {
  const hash = new URLSearchParams();
  if (state.q) {
    hash.set("lang", state.lang);
    hash.set("q", state.q);
  }
  if (state.range === "custom") {
    hash.set("from", state.from);
    hash.set("to", state.to);
  } else if (state.range !== "15m") hash.set("range", state.range);
  if (state.by !== "mesh") hash.set("by", state.by);
  const text = hash.toString();
  history.replaceState(null, "", location.pathname + (text ? "#" + text : ""));
}

export const window_ = () => (pastOnly() ? { from: state.from, to: state.to } : span(state.range));
