import test from "node:test";
import assert from "node:assert/strict";
import { number, title, scale, strokes, ranked } from "./metric.js";
import { readMetric, readQuery, queryRequest, tailRequest } from "./shape.js";

test("axes are round and hold all values", () => {
  for (const [low, high] of [[0, 1], [0, 0], [0, 48.9], [-3, 7], [0, 1e-6], [0, 123456789], [5, 5], [0, 0.30000000000000004]]) {
    const marks = scale(low, high);
    assert.ok(marks[0] <= low && marks.at(-1) >= high - 1e-9, `${low} to ${high}: ${marks}`);
    assert.ok(marks.length >= 2 && marks.length <= 8, `${low} to ${high}: ${marks}`);
  }
  assert.deepEqual(scale(0, 48.9), [0, 20, 40, 60]);
});

test("a line is cut at what is missing", () => {
  assert.deepEqual(strokes([[0, 1], [10, 2], [30, 3], [40, NaN], [50, 4]], 10), [[[0, 1], [10, 2]], [[30, 3]], [[50, 4]]]);
});

test("numbers are short, and what is no number says so", () => {
  assert.deepEqual([0, 0.12345, 1234.5, 45678, 1234567, 1e-5, NaN, Infinity].map(number), ["0", "0.123", "1235", "45.7k", "1.23M", "1.00e-5", "NaN", "+∞"]);
});

test("an answer becomes series, the largest first", () => {
  const { series } = readMetric({ series: [
    { labels: { a: "x" }, points: [{ time: "1970-01-01T00:00:01Z", value: "1" }] },
    { labels: {}, points: [{ time: "1970-01-01T00:00:01Z", value: "+Inf" }, { time: "1970-01-01T00:00:02Z", value: "NaN" }] },
    { labels: { a: "", b: "c" }, points: [{ time: "1970-01-01T00:00:01Z", value: "3" }] },
  ] });
  assert.deepEqual(series[1].points, [[1000, Infinity], [2000, NaN]]);
  assert.deepEqual(ranked(series).map((s) => s.title), ["(none)", "a= b=c", "x"]);
  assert.equal(title({}), "value");
});

test("a question is asked in its language", () => {
  assert.deepEqual(tailRequest({ q: "", lang: "logql" }, "5")[1], { query: "{}", after: "5" });
  assert.deepEqual(tailRequest({ q: "a b", lang: "search" }, "")[1], { query: "a b", lang: "search", after: "" });
  assert.equal(queryRequest({ q: "", lang: "search" }, { from: 0, to: 1 }, 5)[1].query, "");
});

test("an answer without its manifest is not whole", () => {
  const answer = { records: [], partial: "" };
  readQuery({ time: "2026-01-01T00:00:00.123456789Z", ord: "18446744073709551615", fields: {}, line: "x" }, answer);
  assert.equal(answer.whole, undefined);
  assert.equal(answer.records[0].ord, "18446744073709551615");
  readQuery({ manifest: { partial: true, warnings: ["w"] } }, answer);
  assert.deepEqual([answer.whole, answer.partial], [true, "w"]);
});
