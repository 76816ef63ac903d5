// Suggestions under the query: names of fields and their values, as they are in
// the time range. A combobox with a list: arrows choose, Enter or Tab takes what is
// chosen, Escape closes, and Enter without a choice runs the query.
import { typing, completed, rank } from "./lang.js";

const most = 9;

// suggest serves an input and its list. ask.fields() and ask.values(field) resolve
// to what there is ([{name, query, meaning}] and [{name, n}]); lang() is the
// language of the moment, changed is called after a choice.
export function suggest(input, list, { ask, lang, changed }) {
  let options = []; // {text, note}
  let what = null;
  let chosen = -1;
  let turn = 0;

  const close = () => {
    turn++;
    options = [];
    chosen = -1;
    list.hidden = true;
    list.replaceChildren();
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
  };

  const choose = (i) => {
    list.children[chosen]?.setAttribute("aria-selected", "false");
    chosen = i;
    const item = list.children[i];
    if (!item) return input.removeAttribute("aria-activedescendant");
    item.setAttribute("aria-selected", "true");
    item.scrollIntoView({ block: "nearest" });
    input.setAttribute("aria-activedescendant", item.id);
  };

  const take = (i) => {
    const next = completed(input.value, input.selectionStart, lang(), what, options[i].text);
    input.value = next.text;
    input.setSelectionRange(next.cursor, next.cursor);
    close();
    changed();
    look(false);
  };

  const show = () => {
    chosen = -1;
    list.replaceChildren(...options.map((o, i) => {
      const li = document.createElement("li");
      li.id = `${list.id}-${i}`;
      li.setAttribute("role", "option");
      li.setAttribute("aria-selected", "false");
      const name = Object.assign(document.createElement("span"), { className: "word", textContent: o.text });
      const note = Object.assign(document.createElement("span"), { className: "note", textContent: o.note });
      li.append(name, note);
      li.onpointerdown = (e) => e.preventDefault(); // the input keeps the focus
      li.onclick = () => take(i);
      return li;
    }));
    list.hidden = options.length === 0;
    input.setAttribute("aria-expanded", String(options.length > 0));
    input.removeAttribute("aria-activedescendant");
  };

  // look finds what fits before the cursor. Names are offered unasked only once a
  // letter is there: an empty bar is for looking at.
  async function look(always) {
    const mine = ++turn;
    const at = typing(input.value, input.selectionStart, lang());
    const bare = at && at.kind === "name" && at.part === "" && !/[{,]\s*$/.test(input.value.slice(0, input.selectionStart));
    if (!at || (bare && !always) || input.selectionStart !== input.selectionEnd) return close();
    let found;
    try {
      if (at.kind === "name") {
        const fields = rank(await ask.fields(), at.part, (f) => f.name);
        found = fields.map((f) => ({ text: lang() === "logql" ? f.query : f.name, note: f.meaning || f.type }));
      } else {
        found = rank(await ask.values(at.field), at.part, (v) => v.name).filter((v) => v.name !== "").map((v) => ({ text: v.name, note: v.n.toLocaleString() }));
      }
    } catch {
      found = []; // suggestions are a help; the query itself says what is wrong
    }
    if (mine !== turn || document.activeElement !== input) return;
    options = found.filter((o) => o.text.length <= 200).slice(0, most);
    if (options.length === 1 && options[0].text === at.part) options = [];
    what = at;
    show();
  }

  let soon = 0;
  input.addEventListener("input", () => {
    clearTimeout(soon);
    soon = setTimeout(() => look(false), 120);
  });
  input.addEventListener("blur", () => {
    clearTimeout(soon);
    close();
  });
  input.addEventListener("keydown", (e) => {
    const open = options.length > 0;
    if (e.key === "ArrowDown" || e.key === "ArrowUp") {
      e.preventDefault();
      if (!open) return look(true);
      const n = options.length, step = e.key === "ArrowDown" ? 1 : -1;
      choose(chosen < 0 ? (step > 0 ? 0 : n - 1) : (chosen + step + n) % n);
    } else if ((e.key === "Enter" || e.key === "Tab") && chosen >= 0 && open) {
      e.preventDefault();
      take(chosen);
    } else if (e.key === "Enter") {
      clearTimeout(soon);
      close();
    } else if (e.key === "Escape" && open) {
      e.preventDefault();
      e.stopPropagation();
      close();
    } else if (e.key === "ArrowLeft" || e.key === "ArrowRight") close();
  });
  return { close };
}
