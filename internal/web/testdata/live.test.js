import test from "node:test";
import assert from "node:assert/strict";
import { follow, fill, Shelf } from "./live.js";
import { events } from "./api.js";

// A log of records 1 to n, and a server that tells it as package native does. cuts
// says after how many events each connection breaks.
function server(cuts, { last = () => 20, start = 10, gaps = {} } = {}) {
  const asked = [];
  const connect = (place) => {
    asked.push(place);
    const cut = cuts.length ? cuts.shift() : Infinity;
    return (async function* () {
      let at = place === "" ? start : Number(place);
      let told = 0;
      const tell = (e) => {
        if (told++ >= cut) throw new Error("cut");
        return { event: "message", data: "", ...e };
      };
      yield tell({ id: String(at) });
      while (at < last()) {
        const gap = gaps[at + 1];
        if (gap) {
          delete gaps[at + 1];
          yield tell({ id: String(at + gap), event: "dropped", data: JSON.stringify({ records: gap, total: gap, why: "slow", after: String(at) }) });
          at += gap;
        } else {
          at++;
          yield tell({ id: String(at), ...(at % 5 ? { data: String(at) } : {}) }); // every fifth is of others: only a place
        }
      }
    })();
  };
  return { asked, connect };
}

async function run(connect, until) {
  const stop = new AbortController();
  const out = { records: [], gaps: [], cuts: 0, refused: null };
  await follow({
    connect, signal: stop.signal, wait: async () => {
      if (until(out)) stop.abort();
    },
    on: { placed: (p) => (out.place = p), record: (e) => out.records.push(e.id), gap: (g) => out.gaps.push(g), cut: () => out.cuts++, refused: (err) => (out.refused = err) },
  });
  return out;
}

const all = ["11", "12", "13", "14", "16", "17", "18", "19"];

test("nothing is missed or shown twice, wherever the connection is cut", async () => {
  for (let a = 0; a < 12; a++) {
    for (let b = 0; b < 6; b++) {
      const { connect } = server([a, b]);
      const out = await run(connect, (o) => o.place === "20");
      // A connection that was cut before it was given a place saw nothing.
      assert.deepEqual(out.records, all, `cuts after ${a} and ${b}`);
    }
  }
});

test("a connection that ends before its first record goes on from its place", async () => {
  let last = 10;
  const { connect, asked } = server([1], { last: () => last });
  const out = await run(connect, (o) => {
    last = 20; // they come while nobody is connected
    return o.place === "20";
  });
  assert.deepEqual(asked.slice(0, 2), ["", "10"]);
  assert.deepEqual(out.records, all);
});

test("a gap is told with its places, and can be read", async () => {
  const { connect } = server([], { gaps: { 13: 4 } });
  const out = await run(connect, () => true);
  assert.deepEqual(out.records, ["11", "12", "17", "18", "19"]);
  assert.deepEqual(out.gaps, [{ after: "12", to: "16", records: 4, why: "slow" }]);
  const { events: found, rest } = await fill(server([]).connect, { ...out.gaps[0], records: 3 }, 100, new AbortController().signal);
  assert.deepEqual(found.map((e) => e.id), ["13", "14", "16"]);
  assert.equal(rest, null);
  const some = await fill(server([]).connect, { ...out.gaps[0], records: 3 }, 2, new AbortController().signal);
  assert.deepEqual(some.events.map((e) => e.id), ["13", "14"]);
  assert.deepEqual(some.rest, { after: "14", to: "16", records: 1, why: "slow" });
});

test("a refusal ends it, a failure of the server does not", async () => {
  const refuse = () => Promise.reject(Object.assign(new Error("bad"), { status: 400 }));
  assert.equal((await run(refuse, () => false)).refused.message, "bad");
  let tries = 0;
  const busy = () => (tries++ < 3 ? Promise.reject(Object.assign(new Error("busy"), { status: [429, 503, 0][tries - 1] })) : server([]).connect(""));
  const out = await run(busy, (o) => o.place === "20");
  assert.equal(out.cuts, 4);
  assert.deepEqual(out.records, all);
  let n = 0;
  const failing = (place) => (n++ ? server([]).connect(place) : (async function* () {
    yield { event: "failed", data: '{"error":{"message":"broken"},"after":"15"}', id: "" };
  })());
  assert.deepEqual((await run(failing, (o) => o.place === "20")).records, ["16", "17", "18", "19"]);
});

test("a message with only an id is told, and half a one is not", async () => {
  const text = ": open\nretry: 1000\nid: 7\n\nid: 9\ndata: {}\n\n: alive\n\nevent: dropped\nid: 12\ndata: {\ndata: }\n\nid: 13";
  const got = [];
  for await (const e of events(new Response(text))) got.push(e);
  assert.deepEqual(got, [
    { event: "message", data: "", id: "7" },
    { event: "message", data: "{}", id: "9" },
    { event: "dropped", data: "{\n}", id: "12" },
  ]);
});

test("a full shelf keeps the newest and knows what it let go", () => {
  const shelf = new Shelf(2);
  const r = (ord, ms = ord) => ({ ord: String(ord), ms });
  for (const x of [100, 101, 102, 103]) shelf.add(r(x));
  shelf.gap({ after: "103", to: "110", records: 5, why: "slow" });
  shelf.add(r(111, 1));
  const got = shelf.take().map((x) => (x.record ? x.record.ord : [x.gap.why, x.gap.after, x.gap.to, x.gap.records]));
  assert.deepEqual(got, ["111", ["slow", "103", "110", 5], "103", ["page", "99", "102", 3]]);
  assert.deepEqual(shelf.take(), []);
});
