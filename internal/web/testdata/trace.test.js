import assert from "node:assert/strict";
import test from "node:test";
import { arrange, took, traceOf } from "./trace.js";

const span = (spanId, parentSpanId, startNs, durationNs, service = "a") => ({ spanId, parentSpanId, startNs: String(startNs), durationNs, service, name: spanId });
const shape = ({ rows }) => rows.map((r) => " ".repeat(r.depth) + (r.span ? r.span.spanId : r.record.line)).join("|");

test("spans stand below their parents, logs in their spans", () => {
  const log = (line, time, span_id) => ({ line, time, fields: { span_id } });
  const got = arrange({
    spans: [span("c", "b", 20, 10), span("a", undefined, 0, 100), span("b", "a", 10, 50, "s"), span("x", "gone", 5, 1)],
    records: [log("in b", "1970-01-01T00:00:00.000000015Z", "b"), log("free", "1970-01-01T00:00:00.00000009Z")],
  });
  assert.equal(shape(got), "a| b|  in b|  c|x|free");
  assert.deepEqual(got.services, ["a", "s"]);
  assert.equal(got.whole, 100);
  const b = got.rows[1];
  assert.equal(b.at, 0.1);
  assert.equal(b.width, 0.5);
  assert.equal(got.rows[2].at, 0.15);
});

test("a shared id is two rows, a circle of parents hides nobody", () => {
  assert.equal(shape(arrange({ spans: [span("a", undefined, 0, 9), span("a", undefined, 1, 5)], records: [] })).split("|").length, 2);
  assert.equal(shape(arrange({ spans: [span("a", "b", 0, 9), span("b", "a", 1, 5)], records: [] })).split("|").length, 2);
  assert.equal(shape(arrange({ spans: [span("a", "a", 0, 9)], records: [] })), "a");
  assert.equal(shape(arrange({ spans: [], records: [] })), "");
});

test("what both proxies logged of a call lasts as long as it took", () => {
  const call = (line, time, ns, format = "istio-text") => ({ line, time, fields: { "mesh.duration_ns": ns, "parse.format": format } });
  const got = arrange({ spans: [], records: [call("to", "1970-01-01T00:00:00.000000020Z", 50), call("from", "1970-01-01T00:00:00.00000001Z", 100), call("flow", "1970-01-01T00:00:00.00000003Z", 70, "hubble-json")] });
  assert.equal(shape(got), "from|to|flow");
  assert.equal(got.whole, 100);
  assert.deepEqual(got.rows.map((r) => [r.at, r.width]), [[0, 1], [0.1, 0.5], [0.2, 0]]);
});

test("ids and durations", () => {
  assert.equal(traceOf({ trace_id: "0AF7" }), "0AF7");
  assert.equal(traceOf({ trace_id: "no", "http.request.header.x-request-id": "req-12345" }), "req-12345");
  assert.equal(traceOf({ "http.request.header.x-request-id": "a b c d e f" }), "");
  assert.deepEqual([5, 1500, 2_500_000, 25_000_000, 1_500_000_000].map(took), ["5 ns", "1.5 µs", "2.50 ms", "25 ms", "1.50 s"]);
});
