// The page: what is asked (state), what is shown (rows, chart), and the keys.
// The state lives in the fragment of the address, which browsers do not send,
// so a query never reaches a server's log by way of the page's own address.
import { ApiError, request, token, objects, events } from "./api.js";
import { width, local, zone } from "./time.js";
import { draw, short } from "./chart.js";
import { row, hole, recordOf } from "./records.js";
import { place as placeOf, withFilter } from "./lang.js";
import { follow, fill, later, Shelf } from "./live.js";
import { $, state, memory, metrical, pastOnly, readAddress, writeAddress, window_ } from "./state.js";
import { showLanguage, showWrong, typed, listenBar, fieldsNow, known } from "./bar.js";
import { save, size } from "./export.js";
import * as facets from "./facets.js";
import * as metric from "./metric.js";
import * as shape from "./shape.js";

const pageSize = 200, viewLimit = 1000, heldLimit = 800, bars = 80, steps = 240, gapPage = 1000;

let asking = null; // the AbortController of what is being asked
let tailing = null; // the AbortController of the tail
let saving = null; // the AbortController of an export
let place = ""; // of the tail: what is behind it was shown, or is known not to be
let shelf = new Shelf(heldLimit); // what arrived while the reader was elsewhere
let late = false; // the search did not wait for the tail's place
let ready = false; // the search is answered: what arrived may be shown
let seen = new Set(); // places of the rows, so that tail and search meet once
let drawn = null; // the last histogram or series, to draw again when the window changes
let ownFields = memory.get("fields", []);

function showState() {
  $("query").value = state.q;
  showLanguage();
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

function trouble(err) {
  if (!err) {
    $("trouble").hidden = true;
    showWrong(null);
    return;
  }
  if (err.name === "AbortError") return;
  if (err instanceof ApiError && err.status === 401) {
    openDoor(token.get() ? "That token is not known here." : "");
    return;
  }
  const at = err.status === 400 && placeOf(err.message);
  if (at) return showWrong(at, err.hint, search);
  let text = err.message || String(err);
  if (err.hint) text += "\n" + err.hint;
  if (err.requestId) text += `\n(request ${err.requestId})`;
  $("trouble").textContent = text;
  $("trouble").hidden = false;
}

// search asks anew. The tail is opened first: what is kept from then on it will
// show, and what was kept before, the search finds.
async function search() {
  asking?.abort();
  tailing?.abort();
  tailing = null;
  asking = new AbortController();
  const { signal } = asking;
  writeAddress();
  showState();
  trouble(null);
  shelf = new Shelf(heldLimit);
  seen = new Set();
  ready = false;
  place = "";
  showHeld();
  const numbers = metrical();
  for (const id of ["records", "by-label", "save", "side", "side-toggle"]) $(id).classList.toggle("off", numbers);
  $("series").hidden = !numbers;
  $("chart").classList.toggle("tall", numbers);
  $("chart-title").textContent = numbers ? "Values over time" : "Records over time";
  $("state").textContent = "Searching …";
  try {
    if (numbers) return await askMetric(signal);
    if (state.live && !pastOnly()) await Promise.race([listenLive(), new Promise((done) => setTimeout(done, 2000))]);
    if (signal.aborted) return;
    late = !place;
    const w = window_();
    const [answer] = await Promise.all([fetchRecords(w, signal), refreshChart(w, signal), refreshFacets(w, signal).catch(() => {})]);
    seen = new Set(answer.records.map((r) => r.ord));
    $("rows").replaceChildren(...answer.records.map((r) => row(r, act)));
    $("records").scrollTop = 0;
    after(answer, true);
    ready = true;
    flush();
  } catch (err) {
    if (err.name === "AbortError" || signal.aborted) return;
    tailing?.abort();
    clear(); // what another query found would lie under this error
    trouble(err);
  }
}

function clear() {
  drawn = null;
  for (const id of ["rows", "chart", "legend", "facets", "series"]) $(id).replaceChildren();
  for (const id of ["state", "total"]) $(id).textContent = "";
  $("more").hidden = true;
  $("empty").hidden = true;
}

async function fetchRecords(w, signal) {
  const began = performance.now();
  const response = await request(...shape.queryRequest(state, w, pageSize), signal);
  const answer = { records: [], partial: "" };
  for await (const o of objects(response)) shape.readQuery(o, answer);
  answer.took = performance.now() - began;
  if (!answer.whole) answer.partial ||= "it was cut off";
  return answer;
}

const records = (n) => `${n.toLocaleString()} ${n === 1 ? "record" : "records"}`;

// after says what an answer was.
function after(answer, fresh) {
  $("more").hidden = answer.records.length < pageSize;
  const shown = $("rows").childElementCount;
  $("state").textContent = shown ? `${records(shown)}, the newest first, ${Math.round(answer.took)} ms` : "No record matches";
  if (answer.partial) trouble(new Error("The answer is partial: " + answer.partial));
  if (fresh) showEmpty(shown === 0);
}

// older appends what is before the last row. Times of rows are rounded down, so it
// asks for that millisecond again and leaves out what is there.
async function older() {
  const oldest = [...$("rows").children].map(recordOf).filter(Boolean).reduce((a, r) => Math.min(a, r.ms), Infinity);
  $("more").disabled = true;
  try {
    const answer = await fetchRecords({ from: window_().from, to: oldest + 1 }, asking.signal);
    const fresh = answer.records.filter((r) => !seen.has(r.ord));
    for (const r of fresh) seen.add(r.ord);
    $("rows").append(...fresh.map((r) => row(r, act)));
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
    const response = await request(...shape.histogramRequest(state, w, width(w.to - w.from, bars), state.by), signal);
    data = shape.readHistogram(await response.json());
  } catch (err) {
    if (err.name === "AbortError" || err.status === 400) return; // the record search says what is wrong
    throw err;
  }
  drawn = data;
  drawChart();
}

async function refreshFacets(w, signal) {
  if ($("side").hidden) return;
  const fields = [...ownFields, ...facets.usual.filter((f) => !ownFields.includes(f))];
  const answer = await (await request(...shape.facetsRequest(state, w, fields, 7), signal)).json();
  if (metrical()) return;
  facets.draw($("facets"), answer, ownFields, {
    filter: addFilter,
    forget: (name) => {
      ownFields = ownFields.filter((f) => f !== name);
      memory.set("fields", ownFields);
      refreshFacets(window_(), asking?.signal).catch(trouble);
    },
  });
}

async function askMetric(signal) {
  const w = window_(), began = performance.now();
  const step = width(w.to - w.from, steps);
  const answer = shape.readMetric(await (await request(...shape.metricRequest(state, w, step), signal)).json());
  const series = metric.ranked(answer.series);
  drawn = { numbers: true, from: Math.ceil(w.from / step) * step, to: Math.floor(w.to / step) * step, step, series };
  $("rows").replaceChildren();
  $("more").hidden = true;
  $("state").textContent = `${series.length} series, a point each ${step / 1000} s, ${Math.round(performance.now() - began)} ms`;
  metric.table($("series"), series);
  if (series.length === 0) $("series").replaceChildren(Object.assign(document.createElement("p"), { className: "note", textContent: "No values: nothing in this time range matches the query." }));
  if (answer.partial) trouble(new Error("The answer is partial: " + answer.partial));
  drawChart();
}

// drawChart draws what was counted last at the width that the page has now.
function drawChart() {
  if (!drawn) return;
  const data = drawn;
  const zoom = (to) => {
    Object.assign(state, { range: "custom", from: Math.floor(to.from), to: Math.ceil(to.to), live: false });
    search();
  };
  const entry = (swatch, text) => {
    const li = document.createElement("li");
    li.append(Object.assign(document.createElement("span"), { className: "swatch " + swatch }), text);
    return li;
  };
  if (data.numbers) {
    metric.draw($("chart"), $("tip"), data, zoom);
    $("total").textContent = "";
    $("legend").replaceChildren(...data.series.slice(0, 8).map((s, i) => entry(`b${i % 6}${i >= 6 ? " half" : ""}`, s.title.slice(0, 60))));
    return;
  }
  const { total, colour } = draw($("chart"), $("tip"), data, zoom);
  $("total").textContent = `${short(total)} ${total === 1 ? "record" : "records"}`;
  $("legend").replaceChildren(...data.groups.map((g) => entry("b" + colour.get(g.name), `${g.name || "(none)"} ${short(g.counts.reduce((a, b) => a + b, 0))}`)));
}

const tail = (ask) => async (from, signal) => events(await request(...ask({ q: state.q, lang: state.lang }, from), signal));

// listenLive follows the tail from place on, and resolves when it is open or has
// failed.
function listenLive() {
  tailing?.abort();
  tailing = new AbortController();
  const { signal } = tailing;
  return new Promise((open) => {
    follow({
      connect: tail(shape.tailRequest), signal, place,
      on: {
        placed: (to) => {
          if (!place && late) catchUp(signal);
          place = to;
          if (tailing.cut) showLive();
          tailing.cut = false;
          open();
        },
        record: (e) => arrived({ record: shape.record(JSON.parse(e.data)) }),
        gap: (gap) => arrived({ gap }),
        cut: (err) => {
          tailing.cut = true;
          $("state").textContent = `The live view was cut off${err?.told ? ` (${err.message})` : ""}; connecting again …`;
          open();
        },
        refused: (err) => {
          open();
          if (err.status === 400 && placeOf(err.message)) return; // the search says what is wrong
          state.live = false;
          showLiveButton();
          trouble(err);
        },
      },
    });
  });
}

// catchUp asks again for what the search may have missed because it was faster than
// the tail.
async function catchUp(signal) {
  late = false;
  try {
    for (const record of (await fetchRecords(window_(), signal)).records) arrived({ record });
  } catch (err) {
    if (!signal.aborted) trouble(err);
  }
}

let frame = 0;
function arrived({ record, gap }) {
  if (gap) shelf.gap(gap);
  else {
    if (seen.has(record.ord)) return;
    shelf.add(record);
  }
  if (!frame) frame = setTimeout(flush, 150);
}

// flush puts what arrived on the page, or holds it while the reader reads.
function flush() {
  clearTimeout(frame);
  frame = 0;
  if (!ready) return;
  const reading = $("records").scrollTop > 30 || document.querySelector('.item[aria-expanded="true"]');
  if (!reading && shelf.items.length) release();
  showHeld();
}

// release shows what is held. A record that the search found meanwhile is there
// already.
function release() {
  const fresh = shelf.take().filter((x) => x.gap || !seen.has(x.record.ord));
  for (const x of fresh) if (x.record) seen.add(x.record.ord);
  const items = fresh.map((x) => (x.gap ? hole(x.gap, loadGap) : row(x.record, act)));
  $("rows").prepend(...items);
  const rows = $("rows");
  while (rows.childElementCount > viewLimit) {
    const gone = recordOf(rows.lastElementChild);
    if (gone) seen.delete(gone.ord);
    rows.lastElementChild.remove();
    $("more").hidden = false;
  }
  if (items.length) showEmpty(false);
  showLive();
}

// loadGap puts the records of a gap in its place.
async function loadGap(item, gap) {
  const stop = AbortSignal.any([asking.signal, AbortSignal.timeout(30000)]);
  const { events: found, rest } = await fill(tail(shape.gapRequest), gap, gapPage, stop);
  const fresh = found.map((e) => shape.record(JSON.parse(e.data))).filter((r) => !seen.has(r.ord));
  for (const r of fresh) seen.add(r.ord);
  fresh.sort((a, b) => b.ms - a.ms || later(b.ord, a.ord));
  item.replaceWith(...(rest ? [hole(rest, loadGap)] : []), ...fresh.map((r) => row(r, act)));
  showLive();
}

// showLive says that new records come by themselves.
function showLive() {
  const n = document.querySelectorAll("#rows .item").length;
  $("state").textContent = state.live ? `${records(n)}, live` : `${records(n)}, paused`;
}

function showHeld() {
  const gaps = shelf.items.reduce((n, x) => n + (x.gap ? x.gap.records : 0), 0);
  $("held").hidden = shelf.items.length === 0;
  $("release").textContent = `${shelf.records.toLocaleString()} new ${shelf.records === 1 ? "record" : "records"}${gaps ? `, ${gaps.toLocaleString()} more not loaded` : ""} — show`;
}

function showLiveButton() {
  $("live").setAttribute("aria-pressed", String(state.live));
  $("live-text").textContent = state.live ? "Live" : "Paused";
}

// pauseOrGoOn stops the tail and keeps its place, or goes on from there.
function pauseOrGoOn() {
  state.live = !state.live;
  if (!state.live) {
    tailing?.abort();
    showLiveButton();
    if (!metrical()) showLive();
  } else if (pastOnly() || metrical() || !place) {
    if (pastOnly()) state.range = "15m";
    search();
  } else {
    showLiveButton();
    listenLive();
    showLive();
  }
}

function showEmpty(empty) {
  const box = $("empty");
  box.hidden = !empty;
  if (!empty) return;
  const made = (name, text) => Object.assign(document.createElement(name), { textContent: text });
  if (state.q && state.q !== "{}" && state.q !== "*") {
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

// addFilter narrows the query to records that have a value, or do not.
function addFilter(name, value, not) {
  state.q = withFilter(state.q, state.lang, name, value, not);
  search();
}

// act is what a row can do.
const act = {
  filter: addFilter,
  trace: async (id, record) => (await request(...shape.traceRequest(id, record), asking.signal)).json(),
  around: async (record, n) => shape.readContext(await (await request(...shape.contextRequest(record, n), asking.signal)).json()),
};

// exportAs saves all records of the query.
async function exportAs(format) {
  $("save").open = false;
  saving?.abort();
  saving = new AbortController();
  const { signal } = saving;
  const w = window_();
  const name = `records-${new Date(w.from).toISOString().slice(0, 19).replace(/[-:]/g, "")}Z.${format}`;
  const ask = shape.exportRequest(state, w, format);
  $("save-stop").hidden = false;
  let told = 0;
  const progress = (n) => { // once a second, because it is read out
    if (performance.now() - told < 1000) return;
    told = performance.now();
    $("saved").textContent = `Exporting ${name}: ${size(n)} …`;
  };
  try {
    const n = await save(name, (s) => request(...ask, s), { signal, progress });
    $("saved").textContent = n === null ? "" : `${name} is whole: ${size(n)}`;
  } catch (err) {
    $("saved").textContent = signal.aborted ? "The export was stopped; nothing is kept of it." : "The export failed; nothing is kept of it.";
    if (!signal.aborted) trouble(err);
  } finally {
    if (saving?.signal === signal) $("save-stop").hidden = true;
  }
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

// reveal opens the record that has the focus, and what one of its buttons shows.
function reveal(button) {
  const item = document.activeElement?.closest("#rows > li");
  if (!item?.querySelector(".item")) return;
  if (!item.querySelector(".fields")) item.querySelector(".item").click();
  item.querySelector(button)?.click();
}

function showSide(open) {
  $("side").hidden = !open;
  $("side-toggle").setAttribute("aria-expanded", String(open));
  if (open && asking && !metrical()) refreshFacets(window_(), asking.signal).catch(trouble);
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
  else if (e.key === "f") $("side-toggle").click();
  else if (e.key === "c") reveal(".around-button");
  else if (e.key === "t") reveal(".trace-button");
  else if (e.key === "j") move(1);
  else if (e.key === "k") move(-1);
}

function listen() {
  $("ask").addEventListener("submit", (e) => {
    e.preventDefault();
    typed();
    state.q = $("query").value.trim();
    search();
  });
  listenBar();
  $("side-toggle").addEventListener("click", () => {
    showSide($("side").hidden);
    memory.set("side", !$("side").hidden);
  });
  $("add-field").addEventListener("submit", (e) => {
    e.preventDefault();
    const name = $("new-field").value.trim();
    $("new-field").value = "";
    if (!name || ownFields.includes(name)) return;
    ownFields = [name, ...ownFields].slice(0, 12);
    memory.set("fields", ownFields);
    refreshFacets(window_(), asking?.signal).catch(trouble);
  });
  $("new-field").addEventListener("focus", async () => {
    const list = await fieldsNow().catch(() => []);
    $("all-fields").replaceChildren(...list.map((f) => Object.assign(document.createElement("option"), { value: f.name })));
  });
  for (const format of ["csv", "ndjson", "parquet"]) $("save-" + format).addEventListener("click", () => exportAs(format));
  $("save-stop").addEventListener("click", () => saving?.abort());
  $("save").addEventListener("keydown", (e) => {
    if (e.key !== "Escape") return;
    $("save").open = false;
    $("save").querySelector("summary").focus();
  });
  document.addEventListener("pointerdown", (e) => {
    if (!$("save").contains(e.target)) $("save").open = false;
  });
  $("range").addEventListener("change", () => {
    const w = window_();
    state.range = $("range").value;
    known.clear();
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
  $("live").addEventListener("click", pauseOrGoOn);
  $("release").addEventListener("click", () => {
    $("records").scrollTop = 0;
    release();
    showHeld();
  });
  $("more").addEventListener("click", older);
  $("leave").addEventListener("click", () => {
    token.forget();
    asking?.abort();
    saving?.abort();
    known.clear();
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
  let turns = 0;
  setInterval(() => {
    if (!state.live || pastOnly() || document.hidden || $("door").open || !drawn) return;
    const w = window_(), { signal } = asking;
    if (metrical()) askMetric(signal).catch(() => {});
    else {
      refreshChart(w, signal).catch(() => {});
      const busy = $("side").contains(document.activeElement); // a list must not change under the keys
      if (++turns % 3 === 0 && !busy) refreshFacets(w, signal).catch(() => {});
    }
  }, 5000);
}

readAddress();
showState();
$("zone").textContent = zone();
showSide(memory.get("side", !matchMedia("(max-width: 900px)").matches));
listen();
if (!token.get()) openDoor("");
else if (await enter()) search();
