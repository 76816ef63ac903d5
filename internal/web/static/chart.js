// The histogram: stacked bars in SVG, a tip under the pointer, a drag to zoom.
import { tick, clock } from "./time.js";

const ns = "http://www.w3.org/2000/svg";
const height = 132, bottom = 18, top = 6, left = 46;

function node(name, attributes, parent, text) {
  const n = document.createElementNS(ns, name);
  for (const [k, v] of Object.entries(attributes)) n.setAttribute(k, v);
  if (text !== undefined) n.textContent = text;
  parent.append(n);
  return n;
}

// short writes 1234567 as 1.2M.
export function short(n) {
  if (n < 10000) return String(Math.round(n));
  if (n < 1e6) return (n / 1e3).toFixed(n < 1e5 ? 1 : 0) + "k";
  if (n < 1e9) return (n / 1e6).toFixed(1) + "M";
  return (n / 1e9).toFixed(1) + "G";
}

// colour gives values that mean trouble their colour, and others one by rank.
export function colours(names) {
  const out = new Map();
  let next = 0;
  for (const name of names) {
    const upper = name.toUpperCase();
    if (name === "") out.set(name, 6);
    else if (/^5\d\d$/.test(name) || ["ERROR", "FATAL", "CRITICAL"].includes(upper)) out.set(name, 4);
    else if (/^4\d\d$/.test(name) || upper.startsWith("WARN")) out.set(name, 1);
    else if (name === "others") out.set(name, 7);
    else {
      const free = [0, 2, 3, 5, 1, 4];
      out.set(name, free[next++ % free.length]);
    }
  }
  return out;
}

// draw fills the box with a histogram: {from, step, groups: [{name, counts}]} in
// milliseconds. onZoom gets {from, to} after a drag.
export function draw(box, tip, data, onZoom) {
  box.replaceChildren();
  const width = Math.max(240, box.clientWidth);
  const count = Math.max(1, Math.round((data.to - data.from) / data.step));
  const sums = Array.from({ length: count }, (_, i) => data.groups.reduce((s, g) => s + (g.counts[i] || 0), 0));
  const peak = Math.max(1, ...sums);
  const total = sums.reduce((a, b) => a + b, 0);
  const svg = document.createElementNS(ns, "svg");
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", `${total} records between ${clock(data.from)} and ${clock(data.from + count * data.step)}, at most ${peak} in one bar`);
  const plot = height - bottom - top;
  const x = (i) => left + (i * (width - left)) / count;
  const y = (n) => top + plot - (n / peak) * plot;
  for (const n of peak > 1 ? [0, peak / 2, peak] : [0, peak]) {
    node("line", { class: "grid", x1: left, x2: width, y1: y(n), y2: y(n) }, svg);
    node("text", { x: left - 6, y: y(n) + 4, "text-anchor": "end" }, svg, short(n));
  }
  const colour = colours(data.groups.map((g) => g.name));
  const bar = (width - left) / count;
  const gap = bar > 4 ? 1 : 0;
  for (let i = 0; i < count; i++) {
    let base = 0;
    for (const g of data.groups) {
      const n = g.counts[i] || 0;
      if (!n) continue;
      const h = Math.max(1, y(base) - y(base + n));
      node("rect", { class: "s" + colour.get(g.name), x: x(i) + gap / 2, width: Math.max(1, bar - gap), y: y(base) - h, height: h }, svg);
      base += n;
    }
  }
  const every = Math.max(1, Math.ceil(110 / bar));
  for (let i = 0; i < count; i += every) {
    if (x(i) + 50 > width) break;
    node("text", { x: x(i), y: height - 4 }, svg, tick(data.from + i * data.step, data.step, count * data.step));
  }
  box.append(svg);
  point(box, svg, tip, data, { width, count, bar, sums, x }, onZoom);
  return { total, colour };
}

// point follows the pointer: a tip over a bar, a selection while it is down.
function point(box, svg, tip, data, m, onZoom) {
  const over = node("rect", { class: "over", y: top, height: height - bottom - top, width: m.bar, x: 0, visibility: "hidden" }, svg);
  const pick = node("rect", { class: "pick", y: top, height: height - bottom - top, width: 0, x: 0 }, svg);
  let began = -1;
  const index = (e) => {
    const r = svg.getBoundingClientRect();
    const at = ((e.clientX - r.left) / r.width) * m.width;
    return Math.min(m.count - 1, Math.max(0, Math.floor((at - left) / m.bar)));
  };
  box.onpointermove = (e) => {
    const i = index(e);
    over.setAttribute("x", m.x(i));
    over.setAttribute("visibility", "visible");
    if (began >= 0) {
      const [a, b] = [Math.min(began, i), Math.max(began, i) + 1];
      pick.setAttribute("x", m.x(a));
      pick.setAttribute("width", m.x(b) - m.x(a));
    }
    const rows = data.groups.filter((g) => g.counts[i]).map((g) => `${String(g.counts[i]).padStart(8)}  ${g.name || "(none)"}`);
    tip.textContent = [clock(data.from + i * data.step).slice(0, 19), ...rows.reverse(), `${String(m.sums[i]).padStart(8)}  in all`].join("\n");
    tip.hidden = false;
    const room = box.clientWidth - tip.offsetWidth - 12;
    tip.style.left = Math.max(8, Math.min(room, (m.x(i) / m.width) * box.clientWidth + 24)) + "px";
  };
  box.onpointerleave = () => {
    tip.hidden = true;
    over.setAttribute("visibility", "hidden");
  };
  box.onpointerdown = (e) => {
    began = index(e);
    box.setPointerCapture(e.pointerId);
  };
  box.onpointerup = (e) => {
    if (began < 0) return;
    const [a, b] = [Math.min(began, index(e)), Math.max(began, index(e)) + 1];
    const moved = a + 1 < b;
    began = -1;
    pick.setAttribute("width", 0);
    if (moved) onZoom({ from: data.from + a * data.step, to: data.from + b * data.step });
  };
}
