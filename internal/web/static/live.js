// The live view's connection: a tail that keeps its place over every cut, so that
// nothing is missed and nothing shown twice. It knows nothing of the page.

// later compares two places in the commit order, which exceed what a number holds.
export const later = (a, b) => a.length - b.length || (a < b ? -1 : a > b ? 1 : 0);

// before is the place from which a tail shows the record at ord again.
export const before = (ord) => String(BigInt(ord) - 1n);

const pause = (ms, signal) => new Promise((done) => {
  const t = setTimeout(done, ms);
  signal.addEventListener("abort", () => (clearTimeout(t), done()), { once: true });
});

// follow keeps a tail open until the signal aborts or the server refuses it.
//
//	connect(place, signal)  opens a tail behind a place, "" being now; it yields
//	                        events {event, data, id}
//	on.placed(place)        the place moved: at the latest when the tail is open
//	on.record(event)        a record
//	on.gap({after, to, records, why})  records that were not sent
//	on.cut(error)           the connection ended; it is tried again
//	on.refused(error)       the server will not have it; follow has ended
//
// An event with only an id moves the place: a connection that ends before its
// first record goes on where it began.
export async function follow({ connect, on, signal, place = "", wait = pause, patience = 1000 }) {
  let delay = patience;
  const move = (to) => {
    place = to;
    on.placed(place);
  };
  while (!signal.aborted) {
    let cause = null;
    try {
      for await (const e of await connect(place, signal)) {
        if (signal.aborted) return;
        delay = patience;
        if (e.event === "failed") {
          const f = JSON.parse(e.data);
          if (f.after && (!place || later(f.after, place) > 0)) move(f.after);
          throw Object.assign(new Error(f.error.message), { hint: f.error.hint, told: true });
        }
        if (!e.id) continue;
        if (place && later(e.id, place) <= 0) { // the place again, or a record again
          on.placed(place);
          continue;
        }
        if (e.data && e.event === "message") on.record(e);
        if (e.data && e.event === "dropped") {
          const d = JSON.parse(e.data);
          on.gap({ after: d.after, to: e.id, records: d.records, why: d.why });
        }
        move(e.id);
      }
    } catch (err) {
      if (signal.aborted) return;
      if (err.status >= 400 && err.status < 500 && err.status !== 429 && err.status !== 408) return on.refused(err);
      cause = err;
    }
    if (signal.aborted) return;
    on.cut(cause);
    await wait(delay, signal);
    delay = Math.min(delay * 2, 15 * patience);
  }
}

// fill reads the records of a gap, oldest first, at most limit of them; rest is the
// gap that is left, if any.
export async function fill(connect, gap, limit, signal) {
  const events = [];
  let at = gap.after;
  for await (const e of await connect(gap.after, signal)) {
    if (e.event === "failed") throw new Error(JSON.parse(e.data).error.message);
    if (!e.id || later(e.id, gap.to) > 0) {
      if (e.id) break;
      continue;
    }
    if (e.data && e.event === "message" && later(e.id, at) > 0) events.push(e);
    at = later(e.id, at) > 0 ? e.id : at;
    if (events.length === limit && at !== gap.to && events.length < gap.records) {
      return { events, rest: { ...gap, after: at, records: gap.records - limit } };
    }
    if (at === gap.to || events.length >= gap.records) break;
  }
  return { events, rest: null };
}

// A Shelf keeps what arrived and is not shown yet, newest last: records and gaps.
// Beyond its room the oldest records become a gap of their own.
export class Shelf {
  constructor(room) {
    this.room = room;
    this.items = [];
    this.records = 0;
  }

  add(record) {
    this.items.push({ record });
    this.records++;
    while (this.records > this.room) this.#drop();
  }

  gap(gap) {
    this.items.push({ gap: { ...gap } });
  }

  // drop turns the oldest record into a gap, or a part of the one before it.
  #drop() {
    const i = this.items.findIndex((x) => x.record);
    const { ord } = this.items[i].record;
    const own = this.items[i - 1]?.gap;
    this.records--;
    if (own?.why === "page") {
      own.to = ord;
      own.records++;
      this.items.splice(i, 1);
    } else {
      this.items[i] = { gap: { after: before(ord), to: ord, records: 1, why: "page" } };
    }
  }

  // take empties the shelf: newest first, the records between two gaps by time.
  take() {
    const out = [];
    let run = [];
    const flush = () => {
      run.sort((a, b) => b.record.ms - a.record.ms || later(b.record.ord, a.record.ord));
      out.push(...run);
      run = [];
    };
    for (const x of this.items.reverse()) {
      if (x.record) run.push(x);
      else {
        flush();
        out.push(x);
      }
    }
    flush();
    this.items = [];
    this.records = 0;
    return out;
  }
}
