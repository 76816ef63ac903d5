// The two languages of the search bar, as texts: which one a text is in, where an
// error points, what a filter is written like, what is being typed. What they mean
// only the server knows.

export const languages = ["search", "logql"];

// detect returns "logql" for a text that can be nothing else.
export function detect(text) {
  const t = text.trimStart();
  return t.startsWith("{") || /^[a-z_0-9]+\s*((by|without)\s*\([^)]*\)\s*)?\(.*\{/s.test(t) ? "logql" : "";
}

// isMetric reports whether LogQL asks for numbers: everything does that does not
// begin with a selector.
export function isMetric(q, lang) {
  const t = q.replace(/^\s*#.*$/gm, "").trimStart();
  return lang === "logql" && t !== "" && !/^[\s(]*\{/.test(t);
}

// place finds where an error of the server points to, {line, col} from 1.
export function place(message) {
  const m = /\bat line (\d+), col (\d+)\b:?\s*/.exec(message || "");
  return m && { line: Number(m[1]), col: Number(m[2]), text: message.slice(m.index + m[0].length) || message };
}

// around cuts a query at an error: what is before it, the word that is wrong, and
// what follows. The word may be empty: the end of the query.
export function around(query, at) {
  const lines = query.split("\n");
  const start = lines.slice(0, at.line - 1).reduce((n, l) => n + [...l].length + 1, 0) + at.col - 1;
  const chars = [...query];
  const rest = chars.slice(start).join("");
  const wrong = (/^([\w.@-]+|"[^"]*"?|\s*\S)/.exec(rest) || [""])[0];
  return { before: chars.slice(0, start).join(""), wrong, after: rest.slice(wrong.length) };
}

// identifier is the form of a field's name that LogQL can write.
export const identifier = (name) => name.replace(/[^A-Za-z0-9_]/g, "_").replace(/^(?=\d)/, "_");

// quoted is a value as a LogQL string.
export const quoted = (value) => (value.includes("`") || /[\n\r]/.test(value) ? JSON.stringify(value) : /["\\]/.test(value) ? "`" + value + "`" : `"${value}"`);

const phrase = (value) => '"' + value.replace(/["\\]/g, "\\$&") + '"';

// term is a value as the search language writes it, with quotes only where it
// needs them.
export const term = (value) => (/^[A-Za-z0-9_][\w.@-]*$/.test(value) && !/^(and|or|not|to)$/i.test(value) ? value : phrase(value));

const fieldName = (name) => (/^[A-Za-z_@][\w.@/-]*$/.test(name) ? name : phrase(name));

// withFilter narrows a query to the records whose field is, or with not is not,
// the value.
export function withFilter(q, lang, name, value, not) {
  const base = q.trim();
  if (lang === "logql") return `${base || "{}"} | ${identifier(name)} ${not ? "!=" : "="} ${quoted(value)}`;
  const piece = `${not ? "-" : ""}${fieldName(name)}:${term(value)}`;
  if (base === "" || base === "*") return piece;
  return `${/(^|\s)(or|\|\|)(\s|$)/i.test(base) ? `(${base})` : base} ${piece}`;
}

// inString reports whether LogQL text ends within a string.
function inString(text) {
  let quote = "";
  for (let i = 0; i < text.length; i++) {
    const c = text[i];
    if (quote === '"' && c === "\\") i++;
    else if (quote) quote = c === quote ? "" : quote;
    else if (c === '"' || c === "`") quote = c;
  }
  return quote !== "";
}

// typing says what stands before the cursor: {kind: "name" or "value", field,
// part, from}: part, from its place in the text on, is what there is of it. null
// is nothing that can be completed.
export function typing(text, cursor, lang) {
  const before = text.slice(0, cursor);
  const found = (kind, part, field = "") => ({ kind, field, part: part.replace(/^["`]/, ""), from: cursor - part.length });
  if (lang === "logql") {
    const v = /([A-Za-z_]\w*)\s*(?:=~|!~|!=|==?)\s*("(?:[^"\\]|\\.)*|`[^`]*)?$/.exec(before);
    if (v && inString(before) === (v[2] !== undefined)) return found("value", v[2] || "", v[1]);
    if (inString(before)) return null;
    const n = /(?:[{,]|\||\b(?:and|or)\s|\b(?:by|without)\s*\()\s*([A-Za-z_]\w*)?$/.exec(before);
    return n ? found("name", n[1] || "") : null;
  }
  const v = /([A-Za-z_@][\w.@/-]*):("(?:[^"\\]|\\.)*|[^\s"()<>[\]{}:]*)$/.exec(before);
  if (v && inString(before) === v[2].startsWith('"')) return found("value", v[2], v[1]);
  if (inString(before)) return null;
  const n = /(?:^|[\s(+!-])([A-Za-z_@][\w.@/-]*)?$/.exec(before);
  return n ? found("name", n[1] || "") : null;
}

// completed puts a chosen name or value into the text; it returns the text and
// where the cursor then is.
export function completed(text, cursor, lang, what, chosen) {
  let piece;
  if (what.kind === "value") piece = lang === "logql" ? quoted(chosen) : term(chosen);
  else piece = lang === "logql" ? identifier(chosen) : fieldName(chosen) + ":";
  let rest = text.slice(cursor);
  if (what.kind === "value") rest = rest.replace(/^["`]/, "");
  if (what.kind === "name" && lang === "search") rest = rest.replace(/^:/, "");
  if (what.kind === "name" && lang === "logql") piece += /[{,]\s*$/.test(text.slice(0, what.from)) && !/\b(by|without)\s*\([^)]*$/.test(text.slice(0, what.from)) ? "=" : "";
  if (what.kind === "value" && lang === "search" && rest === "") piece += " ";
  const head = text.slice(0, what.from) + piece;
  return { text: head + rest, cursor: head.length };
}

// rank orders names or values by how well they fit what was typed, and drops those
// that do not.
export function rank(list, part, key = (x) => x) {
  const plain = (s) => s.toLowerCase().replace(/[^a-z0-9]/g, "_");
  const p = plain(part);
  const fits = (x) => {
    const at = plain(key(x)).indexOf(p);
    return at < 0 ? 3 : at === 0 ? 0 : /[^a-z0-9]/i.test(key(x)[at - 1]) ? 1 : 2;
  };
  return list.map((x, i) => [fits(x), i, x]).filter(([f]) => f < 3).sort((a, b) => a[0] - b[0] || a[1] - b[1]).map(([, , x]) => x);
}
