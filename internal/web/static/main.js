// The page: what is asked (state), what is shown (rows, chart), and the keys.
// The state lives in the fragment of the address, which browsers do not send,
// so a query never reaches a server's log by way of the page's own address.
import { ApiError, request, token, objects, events } from "./api.js";
import { span, width, local, zone } from "./time.js";
import { draw, short } from "./chart.js";
import { row } from "./records.js";
import * as shape from "./shape.js";

const $ = (id) => document.getElementById(id);
const pageSize = 200, viewLimit = 600, heldLimit = 2000, bars = 80;

const state = { q: "", range: "15m", from: 0, to: 0, by: "mesh", live: true };
let asking = null; // the AbortController of what is being asked
let tailing = null; // the AbortController of the tail
let held = []; // records that arrived while the reader was elsewhere
let lost = 0; // of them, not kept by the page (the server has them)
let oldest = 0; // event time of the last row, ms
let seen = new Set(); // of the newest rows, so that tail and search meet once
let drawn = null; // the last histogram, to draw again when the window changes
let last = ""; // the latest place in the commit order that was seen

// readAddress takes the token out of the fragment and the state from the rest.
function readAddress() {
  const hash = new URLSearchParams(location.hash.slice(1));
  if (hash.has("token")) {
    token.set(hash.get("token"));
    hash.delete("token");
  }
  if (hash.has("q")) state.q = hash.get("q");
  if (hash.has("range")) state.range = hash.get("range");
  if (hash.has("by")) state.by = hash.get("by");
  if (hash.has("from") && hash.has("to")) Object.assign(state, { range: "custom", from: Number(hash.get("from")), to: Number(hash.get("to")), live: false });
  writeAddress();
}

function writeAddress() {
  const hash = new URLSearchParams();
  if (state.q) hash.set("q", state.q);
  if (state.range === "custom") {
    hash.set("from", state.from);
    hash.set("to", state.to);
  } else if (state.range !== "15m") hash.set("range", state.range);
  if (state.by !== "mesh") hash.set("by", state.by);
  const text = hash.toString();
  history.replaceState(null, "", location.pathname + (text ? "#" + text : ""));
}

function showState() {
  $("query").value = state.q;
  if (![...$("range").options].some((o) => o.value === state.range)) state.range = "15m";
  $("range").value = state.range;
  if ([...$("by").options].some((o) => o.value === state.by)) $("by").value = state.by;
  $("span").hidden = state.range !== "custom";
  if (state.range === "custom") {
    $("from").value = local.write(state.from);
    $("to").value = local.write(state.to);
  }
  $("live").setAttribute("aria-pressed", String(state.live));
  $("live-text").textContent = state.live ? "Live" : "Paused";
}

const window_ = () => (state.range === "custom" ? { from: state.from, to: state.to } : span(state.range));

function trouble(err) {
  if (!err) {
    $("trouble").hidden = true;
    return;
  }
  if (err.name === "AbortError") return;
  if (err instanceof ApiError && err.status === 401) {
    openDoor(token.get() ? "That token is not known here." : "");
    return;
  }
  let text = err.message || String(err);
  if (err.hint) text += "\n" + err.hint;
  if (err.requestId) text += `\n(request ${err.requestId})`;
  $("trouble").textContent = text;
  $("trouble").hidden = false;
}

// search asks anew: records and histogram side by side, then the tail.
async function search() {
  asking?.abort();
  tailing?.abort();
  tailing = null;
  asking = new AbortController();
  const { signal } = asking;
  writeAddress();
  showState();
  trouble(null);
  held = [];
  lost = 0;
  showHeld();
  $("state").textContent = "Searching …";
  const w = window_();
  try {
    const [answer] = await Promise.all([fetchRecords(w, signal), refreshChart(w, signal)]);
    seen = new Set(answer.records.map(shape.identity));
    last = answer.records.reduce((a, r) => (shape.later(r.ord, a) > 0 ? r.ord : a), "");
    $("rows").replaceChildren(...answer.records.map((r) => row(r, addFilter)));
    $("records").scrollTop = 0;
    after(answer, true);
    if (state.live && state.range !== "custom") follow();
  } catch (err) {
    if (err.name === "AbortError") return;
    clear(); // what another query found would lie under this error
    trouble(err);
  }
}

function clear() {
  drawn = null;
  for (const id of ["rows", "chart", "legend"]) $(id).replaceChildren();
  for (const id of ["state", "total"]) $(id).textContent = "";
  $("more").hidden = true;
  $("empty").hidden = true;
}

async function fetchRecords(w, signal) {
  const began = performance.now();
  const response = await request(...shape.queryRequest(state.q, w, pageSize), signal);
  const answer = { records: [], partial: "", stats: null };
  for await (const o of objects(response)) shape.readQuery(o, answer);
  answer.took = performance.now() - began;
  if (!answer.whole) answer.partial ||= "it was cut off";
  return answer;
}

// after says what an answer was.
function after(answer, fresh) {
  const n = answer.records.length;
  oldest = n ? answer.records[n - 1].ms : oldest;
  $("more").hidden = n < pageSize;
  const shown = $("rows").childElementCount;
  $("state").textContent = shown ? `${newest(shown)}, ${Math.round(answer.took)} ms` : "";
  if (answer.partial) trouble(new Error("The answer is partial: " + answer.partial));
  if (fresh) showEmpty(n === 0);
}

const newest = (n) => (n === 1 ? "1 record" : `${n} newest records`);

// showLive says that new records come by themselves.
function showLive() {
  $("state").textContent = `${newest($("rows").childElementCount)}, live` + (lost ? `; ${lost} not shown (search finds them)` : "");
}

async function older() {
  const w = window_();
  $("more").disabled = true;
  try {
    const answer = await fetchRecords({ from: w.from, to: oldest }, undefined);
    $("rows").append(...answer.records.map((r) => row(r, addFilter)));
    after(answer, false);
  } catch (err) {
    trouble(err);
  } finally {
    $("more").disabled = false;
  }
}

async function refreshChart(w, signal) {
  let data;
  try {
    const response = await request(...shape.histogramRequest(state.q, w, width(w.to - w.from, bars), state.by), signal);
    data = shape.readHistogram(await response.json());
  } catch (err) {
    if (err.name === "AbortError" || err.status === 400) return; // the record search says what is wrong
    throw err;
  }
  drawn = data;
  drawChart();
}

// drawChart draws what was counted last at the width that the page has now.
function drawChart() {
  if (!drawn) return;
  const data = drawn;
  const { total, colour } = draw($("chart"), $("tip"), data, (zoom) => {
    Object.assign(state, { range: "custom", from: Math.floor(zoom.from), to: Math.ceil(zoom.to), live: false });
    search();
  });
  $("total").textContent = `${short(total)} ${total === 1 ? "record" : "records"}`;
  $("legend").replaceChildren(...data.groups.map((g) => {
    const li = document.createElement("li");
    const swatch = document.createElement("span");
    swatch.className = "swatch b" + colour.get(g.name);
    const n = g.counts.reduce((a, b) => a + b, 0);
    li.append(swatch, `${g.name || "(none)"} ${short(n)}`);
    return li;
  }));
}

// follow shows records as they are kept. It reconnects by itself.
async function follow() {
  tailing = new AbortController();
  const { signal } = tailing;
  let wait = 1000;
  while (!signal.aborted) {
    try {
      const response = await request(...shape.tailRequest(state.q, last), signal);
      if (wait > 1000) showLive();
      wait = 1000;
      for await (const e of events(response)) {
        arrived(shape.readTail(e));
        if (e.id) last = e.id;
      }
    } catch (err) {
      if (err.name === "AbortError") return;
      if (err instanceof ApiError && err.status >= 400 && err.status < 500) {
        trouble(err);
        return;
      }
    }
    if (signal.aborted) return;
    $("state").textContent = "The live view was cut off; connecting again …";
    await new Promise((done) => setTimeout(done, wait));
    wait = Math.min(wait * 2, 15000);
  }
}

let waiting = [];
function arrived({ records, dropped }) {
  lost += dropped;
  for (const r of records) {
    const id = shape.identity(r);
    if (seen.has(id)) continue;
    seen.add(id);
    waiting.push(r);
  }
  if (seen.size > 20000) seen = new Set([...seen].slice(-5000));
  if (waiting.length && !arrived.frame) arrived.frame = setTimeout(flush, 150);
}

// flush puts what arrived on the page, or holds it while the reader reads.
function flush() {
  arrived.frame = 0;
  const reading = $("records").scrollTop > 30 || document.querySelector('.item[aria-expanded="true"]');
  held.push(...waiting);
  waiting = [];
  if (held.length > heldLimit) {
    lost += held.length - heldLimit;
    held = held.slice(-heldLimit);
  }
  if (!reading) release();
  showHeld();
}

function release() {
  if (held.length > viewLimit) {
    lost += held.length - viewLimit;
    held = held.slice(-viewLimit);
  }
  held.sort((a, b) => b.ms - a.ms || shape.later(b.ord, a.ord));
  $("rows").prepend(...held.map((r) => row(r, addFilter)));
  held = [];
  while ($("rows").childElementCount > viewLimit) $("rows").lastElementChild.remove();
  showEmpty(false);
  showLive();
}

function showHeld() {
  $("held").hidden = held.length === 0;
  $("release").textContent = `${held.length} new record${held.length === 1 ? "" : "s"} — show`;
}

function showEmpty(empty) {
  const box = $("empty");
  box.hidden = !empty;
  if (!empty) return;
  const made = (name, text) => Object.assign(document.createElement(name), { textContent: text });
  if (state.q && state.q !== "{}") {
    box.replaceChildren(made("h3", "No record matches"), made("p", "Nothing in this time range matches the query. Widen the range, or loosen the query."));
    return;
  }
  const curl = `curl -H "Authorization: Bearer $(cat DIR/admin.token)" \\
  -H 'Content-Type: application/x-ndjson' ${location.origin}/_bulk --data-binary @- <<'END'
{"create":{"_index":"logs"}}
{"message":"hello, trail"}
END`;
  box.replaceChildren(
    made("h3", "No records in this time range"),
    made("p", "Send the first one. Success means that it is on disk, and it appears here at once:"),
    made("pre", curl),
    made("p", "Filebeat, Fluent Bit, Logstash, Promtail, Alloy and the OpenTelemetry collector can send here as they are: Elasticsearch bulk at /_bulk, Loki push at /loki/api/v1/push, OTLP at /v1/logs. DIR is the server's data folder."));
}

// addFilter narrows the query by one more label filter.
function addFilter(piece) {
  const q = state.q.trim() || "{}";
  state.q = `${q} | ${piece}`;
  search();
}

function openDoor(message) {
  tailing?.abort();
  $("door-trouble").textContent = message;
  $("door-trouble").hidden = !message;
  if (!$("door").open) $("door").showModal();
  $("token").focus();
}

async function enter() {
  try {
    const status = await (await request("/api/v1/status")).json();
    $("about").textContent = shape.about(status);
  } catch (err) {
    trouble(err);
    return false;
  }
  if ($("door").open) $("door").close();
  return true;
}

function move(step) {
  const items = [...document.querySelectorAll(".row.item")];
  const at = items.indexOf(document.activeElement);
  const next = items[Math.max(0, Math.min(items.length - 1, at + step))];
  next?.focus();
}

function keys(e) {
  const writing = /^(INPUT|SELECT|TEXTAREA)$/.test(e.target.tagName);
  if (e.key === "Escape" && writing) e.target.blur();
  if (writing || e.ctrlKey || e.metaKey || e.altKey || $("door").open) return;
  if (e.key === "/") {
    e.preventDefault();
    $("query").focus();
    $("query").select();
  } else if (e.key === "l") $("live").click();
  else if (e.key === "j") move(1);
  else if (e.key === "k") move(-1);
}

function listen() {
  $("ask").addEventListener("submit", (e) => {
    e.preventDefault();
    state.q = $("query").value.trim();
    search();
  });
  $("range").addEventListener("change", () => {
    const w = window_();
    state.range = $("range").value;
    if (state.range === "custom") Object.assign(state, w, { live: false });
    else state.live = true;
    search();
  });
  $("span").addEventListener("submit", (e) => {
    e.preventDefault();
    const from = local.read($("from").value), to = local.read($("to").value);
    if (!(from < to)) return trouble(new Error("The beginning of the time range must be before its end."));
    Object.assign(state, { from, to });
    search();
  });
  $("by").addEventListener("change", () => {
    state.by = $("by").value;
    writeAddress();
    refreshChart(window_(), asking?.signal).catch(trouble);
  });
  $("live").addEventListener("click", () => {
    state.live = !state.live;
    if (state.live && state.range === "custom") state.range = "15m";
    if (state.live) search();
    else {
      tailing?.abort();
      showState();
    }
  });
  $("release").addEventListener("click", () => {
    $("records").scrollTop = 0;
    release();
    showHeld();
  });
  $("more").addEventListener("click", older);
  $("leave").addEventListener("click", () => {
    token.forget();
    asking?.abort();
    clear();
    openDoor("");
  });
  $("login").addEventListener("submit", async (e) => {
    e.preventDefault();
    token.set($("token").value.trim());
    $("token").value = "";
    if (await enter()) search();
  });
  $("door").addEventListener("cancel", (e) => e.preventDefault());
  document.addEventListener("keydown", keys);
  $("records").addEventListener("scroll", () => {
    if ($("records").scrollTop < 5 && held.length && !document.querySelector('.item[aria-expanded="true"]')) {
      release();
      showHeld();
    }
  });
  new ResizeObserver(drawChart).observe($("chart"));
  setInterval(() => {
    if (state.live && tailing && !document.hidden && !$("door").open) refreshChart(window_(), asking?.signal).catch(() => {});
  }, 5000);
}

readAddress();
showState();
$("zone").textContent = zone();
listen();
if (!token.get()) openDoor("");
else if (await enter()) search();
