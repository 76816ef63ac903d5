// Saving a result as a file: streamed to disk where the browser can, gathered in
// memory where it cannot, and then only up to a bound.
import { ApiError } from "./api.js";

const most = 512 << 20;

const kinds = { csv: "text/csv", ndjson: "application/x-ndjson", parquet: "application/vnd.apache.parquet" };

// size writes a number of bytes for people.
export const size = (n) => (n < 1e3 ? `${n} B` : n < 1e6 ? `${(n / 1e3).toFixed(1)} kB` : n < 1e9 ? `${(n / 1e6).toFixed(1)} MB` : `${(n / 1e9).toFixed(2)} GB`);

// save asks for a file and keeps it; open() resolves to the Response. It resolves to
// the number of bytes, or null when the reader chose no place. An answer that is
// cut fails: a file that is kept is whole.
export async function save(name, open, { signal, progress }) {
  const kind = kinds[name.split(".").pop()];
  let sink = null;
  if (window.showSaveFilePicker) {
    try {
      const file = await window.showSaveFilePicker({ suggestedName: name });
      sink = await file.createWritable();
    } catch (err) {
      if (err.name === "AbortError") return null;
      sink = null; // not allowed here: gather it instead
    }
  }
  let n = 0;
  const parts = [];
  try {
    const reader = (await open(signal)).body.getReader();
    for (;;) {
      const { value, done } = await reader.read();
      if (done) break;
      n += value.length;
      if (sink) await sink.write(value);
      else if (n > most) {
        reader.cancel().catch(() => {});
        throw new ApiError(0, { message: `The file is larger than ${size(most)}, which this browser would have to hold in memory.`, hint: "Save a shorter time range, or use meshtrail query --format csv in a terminal." });
      } else parts.push(value);
      progress(n);
    }
    await sink?.close();
  } catch (err) {
    sink?.abort().catch(() => {}); // what was written is not kept
    throw err;
  }
  if (!sink) {
    const url = URL.createObjectURL(new Blob(parts, { type: kind }));
    const a = Object.assign(document.createElement("a"), { href: url, download: name });
    document.body.append(a);
    a.click();
    a.remove();
    setTimeout(() => URL.revokeObjectURL(url), 60000);
  }
  return n;
}
