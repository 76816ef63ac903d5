// Times of the page: ranges as they are picked, instants as they are shown.

const units = { s: 1e3, m: 6e4, h: 3.6e6, d: 8.64e7 };

// span returns {from, to} in milliseconds for "15m" and the like.
export function span(range, now = Date.now()) {
  const n = parseInt(range, 10);
  return { from: now - n * units[range.at(-1)], to: now };
}

const pad = (n, width = 2) => String(n).padStart(width, "0");

// clock shows a time to the millisecond in the reader's zone.
export function clock(ms) {
  const d = new Date(ms);
  return `${d.getFullYear()}-${pad(d.getMonth() + 1)}-${pad(d.getDate())} ${pad(d.getHours())}:${pad(d.getMinutes())}:${pad(d.getSeconds())}.${pad(d.getMilliseconds(), 3)}`;
}

// tick shows a time under the chart, as fine as the width of a bar asks for.
export function tick(ms, stepMs, spanMs) {
  const d = new Date(ms);
  const day = `${pad(d.getMonth() + 1)}-${pad(d.getDate())}`;
  const hm = `${pad(d.getHours())}:${pad(d.getMinutes())}`;
  if (spanMs > 2 * units.d) return stepMs >= units.d ? day : `${day} ${hm}`;
  return stepMs < units.m ? `${hm}:${pad(d.getSeconds())}` : hm;
}

// local turns milliseconds into the value of a datetime-local input, and back.
export const local = {
  write: (ms) => clock(ms).slice(0, 19).replace(" ", "T"),
  read: (text) => (text ? new Date(text).getTime() : NaN),
};

export const zone = () => Intl.DateTimeFormat().resolvedOptions().timeZone || "local time";

// width returns a round length for the bars of a chart, in milliseconds: at most
// bars of them fit into the span.
export function width(spanMs, bars) {
  for (const s of [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400]) {
    if (spanMs / (s * 1000) <= bars) return s * 1000;
  }
  return Math.ceil(spanMs / bars / units.d) * units.d;
}
