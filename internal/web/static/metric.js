// The chart of a metric query: lines over time, an area under a single one, and a
// table of the series that says the same in words.
import { tick, clock } from "./time.js";

const ns = "http://www.w3.org/2000/svg";
const height = 280, bottom = 20, top = 10, left = 58;
const drawn = 12, listed = 500; // series

function node(name, attributes, parent, text) {
  const n = document.createElementNS(ns, name);
  for (const [k, v] of Object.entries(attributes)) n.setAttribute(k, v);
  if (text !== undefined) n.textContent = text;
  parent.append(n);
  return n;
}

const el = (name, props = {}, ...children) => {
  const n = Object.assign(document.createElement(name), props);
  n.append(...children);
  return n;
};

// number writes a value as shortly as it can be read.
export function number(v) {
  if (!Number.isFinite(v)) return Number.isNaN(v) ? "NaN" : v > 0 ? "+∞" : "−∞";
  const a = Math.abs(v);
  if (a !== 0 && (a < 1e-3 || a >= 1e15)) return v.toExponential(2);
  for (const [from, unit] of [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e4, "k"]]) {
    if (a >= from) return trim(v / (unit === "k" ? 1e3 : from)) + unit;
  }
  return trim(v);
}

const trim = (v) => String(Number(v.toPrecision(Math.abs(v) >= 1000 ? 4 : 3)));

// title is what a series is called: the values of its labels, or their names too
// when there are several.
export function title(labels, none = "value") {
  const all = Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1));
  if (all.length === 0) return none;
  return all.length === 1 ? all[0][1] || "(none)" : all.map(([k, v]) => `${k}=${v}`).join(" ");
}

// scale returns round values for the axis, from at most low to at least high.
export function scale(low, high, about = 4) {
  if (low === high) [low, high] = low === 0 ? [0, 1] : [Math.min(0, low), Math.max(0, high)];
  const raw = (high - low) / about;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((m) => m * power).find((s) => s >= raw * 0.999);
  const out = [];
  for (let i = Math.floor(low / step + 1e-9); i < Math.ceil(high / step - 1e-9) + 1; i++) out.push(Number((i * step).toPrecision(12)));
  return out;
}

// strokes cuts points at what is missing and at what is no number: a line may not
// claim what was not measured.
export function strokes(points, step) {
  const out = [];
  let last = -Infinity;
  for (const [t, v] of points) {
    if (!Number.isFinite(v)) continue;
    if (t - last > step * 1.5) out.push([]);
    out.at(-1).push([t, v]);
    last = t;
  }
  return out;
}

const summary = (points) => {
  const vs = points.map(([, v]) => v).filter((v) => !Number.isNaN(v));
  if (vs.length === 0) return { last: NaN, min: NaN, max: NaN, avg: NaN };
  return { last: points.at(-1)[1], min: Math.min(...vs), max: Math.max(...vs), avg: vs.reduce((a, b) => a + b, 0) / vs.length };
};

// ranked puts the series with the most first: those are drawn.
export const ranked = (series) => series.map((s) => ({ ...s, title: title(s.labels, series.length > 1 ? "(none)" : "value"), sum: summary(s.points) }))
  .sort((a, b) => (b.sum.avg || 0) - (a.sum.avg || 0) || (a.title < b.title ? -1 : 1));

// draw fills the box with lines of data {from, to, step, series}, already ranked,
// and calls onZoom with {from, to} after a drag.
export function draw(box, tip, data, onZoom) {
  box.replaceChildren();
  const width = Math.max(240, box.clientWidth);
  const series = data.series.slice(0, drawn).map((s, i) => ({ ...s, rank: i, strokes: strokes(s.points, data.step) }));
  const values = series.flatMap((s) => s.strokes.flat().map(([, v]) => v));
  const marks = scale(Math.min(0, ...values), Math.max(0, ...values));
  const low = marks[0], high = marks.at(-1), plot = height - top - bottom;
  const x = (t) => left + ((t - data.from) / Math.max(1, data.to - data.from)) * (width - left - 8);
  const y = (v) => top + plot - ((v - low) / (high - low)) * plot;
  const svg = document.createElementNS(ns, "svg");
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", `${data.series.length} series between ${clock(data.from)} and ${clock(data.to)}; the table below has their values`);
  for (const m of marks) {
    node("line", { class: "grid", x1: left, x2: width, y1: y(m), y2: y(m) }, svg);
    node("text", { x: left - 6, y: y(m) + 4, "text-anchor": "end" }, svg, number(m));
  }
  const every = data.step * Math.max(1, Math.ceil((110 * (data.to - data.from)) / data.step / (width - left)));
  for (let t = data.from; t <= data.to; t += every) {
    if (x(t) + 50 > width) break;
    node("text", { x: x(t), y: height - 4 }, svg, tick(t, data.step, data.to - data.from));
  }
  for (const s of [...series].reverse()) {
    for (const run of s.strokes) {
      const d = run.map(([t, v], i) => `${i ? "L" : "M"}${x(t).toFixed(1)} ${y(v).toFixed(1)}`).join("");
      if (series.length === 1 && run.length > 1) node("path", { class: "area f" + (s.rank % 6), d: `${d}L${x(run.at(-1)[0]).toFixed(1)} ${y(0)}L${x(run[0][0]).toFixed(1)} ${y(0)}Z` }, svg);
      if (run.length === 1) node("circle", { class: "f" + (s.rank % 6), cx: x(run[0][0]), cy: y(run[0][1]), r: 2.5 }, svg);
      else node("path", { class: `stroke l${s.rank % 6}${s.rank >= 6 ? " dashed" : ""}`, d }, svg);
    }
  }
  box.append(svg);
  point(box, svg, tip, data, series, { width, x }, onZoom);
}

// point follows the pointer: the values at its step, a selection while it is down.
function point(box, svg, tip, data, series, m, onZoom) {
  const line = node("line", { class: "cross", y1: top, y2: height - bottom, x1: 0, x2: 0, visibility: "hidden" }, svg);
  const pick = node("rect", { class: "pick", y: top, height: height - bottom - top, width: 0, x: 0 }, svg);
  const at = (e) => {
    const r = svg.getBoundingClientRect();
    const px = ((e.clientX - r.left) / r.width) * m.width;
    const t = data.from + ((px - left) / (m.width - left - 8)) * (data.to - data.from);
    return Math.min(data.to, Math.max(data.from, data.from + Math.round((t - data.from) / data.step) * data.step));
  };
  let began = null;
  box.onpointermove = (e) => {
    const t = at(e);
    line.setAttribute("x1", m.x(t));
    line.setAttribute("x2", m.x(t));
    line.setAttribute("visibility", "visible");
    if (began !== null) {
      pick.setAttribute("x", m.x(Math.min(began, t)));
      pick.setAttribute("width", m.x(Math.max(began, t)) - m.x(Math.min(began, t)));
    }
    const rows = series.map((s) => [s.points.find(([pt]) => pt === t)?.[1], s.title]).filter(([v]) => v !== undefined).sort((a, b) => b[0] - a[0]);
    tip.textContent = [clock(t).slice(0, 19), ...rows.map(([v, name]) => `${number(v).padStart(8)}  ${name.slice(0, 60)}`)].join("\n");
    tip.hidden = false;
    tip.style.left = Math.max(8, Math.min(box.clientWidth - tip.offsetWidth - 12, (m.x(t) / m.width) * box.clientWidth + 24)) + "px";
  };
  box.onpointerleave = () => {
    tip.hidden = true;
    line.setAttribute("visibility", "hidden");
  };
  box.onpointerdown = (e) => {
    began = at(e);
    box.setPointerCapture(e.pointerId);
  };
  box.onpointerup = (e) => {
    if (began === null) return;
    const [a, b] = [Math.min(began, at(e)), Math.max(began, at(e))];
    began = null;
    pick.setAttribute("width", 0);
    if (b - a > data.step) onZoom({ from: a, to: b });
  };
}

// table lists the ranked series.
export function table(box, series) {
  const names = [...new Set(series.flatMap((s) => Object.keys(s.labels)))].sort();
  const head = el("tr", {}, ...(names.length ? names : ["series"]).map((n) => el("th", { scope: "col", textContent: n })),
    ...["last", "min", "avg", "max"].map((n) => el("th", { scope: "col", className: "num", textContent: n })));
  const rows = series.slice(0, listed).map((s, i) => {
    const cells = (names.length ? names.map((n) => s.labels[n] ?? "") : ["value"]).map((text, c) => {
      const cell = el(c ? "td" : "th", c ? {} : { scope: "row" });
      if (c === 0 && i < drawn) cell.append(el("span", { className: `swatch b${i % 6}${i >= 6 ? " half" : ""}` }));
      cell.append(text || "(none)");
      return cell;
    });
    return el("tr", {}, ...cells, ...["last", "min", "avg", "max"].map((k) => el("td", { className: "num", textContent: number(s.sum[k]) })));
  });
  const note = [];
  if (series.length > drawn) note.push(`The ${drawn} largest of ${series.length} series are drawn.`);
  if (series.length > listed) note.push(`The table has the first ${listed}.`);
  box.replaceChildren(el("table", {}, el("caption", { className: "hidden", textContent: "Series of the query" }), el("thead", {}, head), el("tbody", {}, ...rows)));
  if (note.length) box.append(el("p", { className: "note", textContent: note.join(" ") }));
}
