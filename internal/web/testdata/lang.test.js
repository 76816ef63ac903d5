import test from "node:test";
import assert from "node:assert/strict";
import { detect, isMetric, place, around, withFilter, typing, completed, rank } from "./lang.js";

test("only LogQL is taken for LogQL", () => {
  for (const q of ['{mesh="istio"}', "  {}", "rate({}[5m])", 'sum by (service) (rate({}[5m]))', "sum(rate({}[1m])) by (x)", "topk(3, rate({}[1m]))"]) assert.equal(detect(q), "logql", q);
  for (const q of ["", "timeout", "service:cart", "status:{400 TO 500}", "count (a OR b)", "sum by hand", "a AND (b OR c)"]) assert.equal(detect(q), "", q);
});

test("a query that does not begin with a selector asks for numbers", () => {
  assert.ok(isMetric("sum(rate({}[5m]))", "logql"));
  assert.ok(isMetric("# of errors\nrate({}[5m])", "logql"));
  assert.ok(isMetric("1 + 1", "logql"));
  for (const q of ["", "{}", ' {a="b"} | json', "({})"]) assert.ok(!isMetric(q, "logql"), q);
  assert.ok(!isMetric("sum(rate({}[5m]))", "search"));
});

test("an error is found where the server says", () => {
  assert.deepEqual(place("parse error at line 1, col 3: this ( is never closed"), { line: 1, col: 3, text: "this ( is never closed" });
  assert.equal(place("no such thing"), null);
  assert.deepEqual(around("a (b", { line: 1, col: 3 }), { before: "a ", wrong: "(", after: "b" });
  assert.deepEqual(around("{a=", { line: 1, col: 4 }), { before: "{a=", wrong: "", after: "" });
  assert.deepEqual(around("é😀 bad:x", { line: 1, col: 4 }), { before: "é😀 ", wrong: "bad", after: ":x" }); // characters, not bytes
  assert.deepEqual(around("{}\n| jsn", { line: 2, col: 3 }), { before: "{}\n| ", wrong: "jsn", after: "" });
});

test("a filter means what it says in both languages", () => {
  assert.equal(withFilter("", "search", "mesh.type", "istio"), "mesh.type:istio");
  assert.equal(withFilter("*", "search", "a", "", true), '-a:""');
  assert.equal(withFilter("a OR b", "search", "x", "1 2", false), '(a OR b) x:"1 2"');
  assert.equal(withFilter("forum", "search", "x", "OR", true), 'forum -x:"OR"');
  assert.equal(withFilter("", "search", "odd name", 'q"\\', false), '"odd name":"q\\"\\\\"');
  assert.equal(withFilter("q", "search", "url.path", "/a*", false), 'q url.path:"/a*"'); // not a pattern
  assert.equal(withFilter("", "logql", "mesh.type", "istio", true), '{} | mesh_type != "istio"');
  assert.equal(withFilter("{}", "logql", "m", 'a"b', false), '{} | m = `a"b`');
});

const at = (text, lang) => {
  const cursor = text.indexOf("|>");
  const plain = text.replace("|>", "");
  return [plain, cursor, typing(plain, cursor, lang)];
};

test("what is being typed is known", () => {
  const kinds = {
    search: { "mes|>": ["name", "", "mes"], "a -mes|>": ["name", "", "mes"], "(serv|>": ["name", "", "serv"], "mesh:is|>": ["value", "mesh", "is"], 'mesh:"is|>': ["value", "mesh", "is"], '"timed o|>': null, "url.path:/he|>": ["value", "url.path", "/he"], "mesh:|>": ["value", "mesh", ""] },
    logql: { "{me|>": ["name", "", "me"], "{|>": ["name", "", ""], '{mesh="is|>': ["value", "mesh", "is"], "{mesh=|>": ["value", "mesh", ""], '{mesh="istio", se|>': ["name", "", "se"], '{} |= "tim|>': null, '{} | status != "5|>': ["value", "status", "5"], "sum by (serv|>": ["name", "", "serv"], '{mesh="istio"|>': null },
  };
  for (const [lang, cases] of Object.entries(kinds)) {
    for (const [text, want] of Object.entries(cases)) {
      const [, , got] = at(text, lang);
      assert.deepEqual(got && [got.kind, got.field, got.part], want, text);
    }
  }
});

test("what is chosen is put where it belongs", () => {
  const take = (text, lang, chosen) => {
    const [plain, cursor, what] = at(text, lang);
    const r = completed(plain, cursor, lang, what, chosen);
    return r.text.slice(0, r.cursor) + "|>" + r.text.slice(r.cursor);
  };
  assert.equal(take("a me|>", "search", "mesh.type"), "a mesh.type:|>");
  assert.equal(take("me|>:x", "search", "mesh"), "mesh:|>x");
  assert.equal(take('mesh:"is|>" b', "search", "istio"), "mesh:istio|> b");
  assert.equal(take("ns:|>", "search", "a b"), 'ns:"a b" |>');
  assert.equal(take("{me|>}", "logql", "mesh_type"), "{mesh_type=|>}");
  assert.equal(take('{mesh="is|>"}', "logql", "istio"), '{mesh="istio"|>}');
  assert.equal(take("sum by (se|>)", "logql", "service"), "sum by (service|>)");
});

test("what begins as typed comes first", () => {
  assert.deepEqual(rank(["abc.ddd", "ddd", "x.dd", "add", "no"], "dd"), ["ddd", "abc.ddd", "x.dd", "add"]);
  assert.deepEqual(rank(["http.response.status_code"], "http_resp"), ["http.response.status_code"]);
});
