// How the page speaks to the server: with the token of this tab, over the same
// API as everyone. Nothing else in the page calls fetch.

const key = "meshtrail.token";

export class ApiError extends Error {
  constructor(status, detail) {
    super(detail.message || `the server answered ${status}`);
    this.status = status;
    this.kind = detail.kind || "";
    this.hint = detail.hint || "";
    this.requestId = detail.requestId || "";
  }
}

export const token = {
  get: () => sessionStorage.getItem(key) || "",
  set: (t) => sessionStorage.setItem(key, t),
  forget: () => sessionStorage.removeItem(key),
};

// request asks for a path and returns the Response, or throws an ApiError.
export async function request(path, params = {}, signal = undefined) {
  const url = new URL(path, location.origin);
  for (const [name, value] of Object.entries(params)) {
    if (value !== undefined && value !== "") url.searchParams.set(name, String(value));
  }
  let response;
  try {
    response = await fetch(url, { headers: { Authorization: "Bearer " + token.get() }, signal, cache: "no-store", credentials: "omit" });
  } catch (err) {
    if (err.name === "AbortError") throw err;
    throw new ApiError(0, { kind: "unavailable", message: "The server cannot be reached.", hint: "Is it running? The page tries again when you search." });
  }
  if (response.ok) return response;
  let detail = {};
  try {
    detail = (await response.json()).error || {};
  } catch {
    // an answer that is not ours: the status says enough
  }
  throw new ApiError(response.status, detail);
}

// lines yields the lines of a streamed answer as they arrive.
async function* lines(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) break;
      const parts = (rest + value).split("\n");
      rest = parts.pop();
      yield* parts;
    }
    if (rest) yield rest;
  } finally {
    reader.cancel().catch(() => {});
  }
}

// objects yields the objects of an NDJSON answer.
export async function* objects(response) {
  for await (const line of lines(response)) {
    if (line.trim()) yield JSON.parse(line);
  }
}

// events yields {event, data, id} of an answer of server-sent events. One that has
// only an id is yielded too, with data "": it moves the place. EventSource keeps
// such a place to itself, so a page could not go on from it after a pause.
export async function* events(response) {
  let event = "message";
  let data = [];
  let id = "", placed = false;
  for await (const raw of lines(response)) {
    const line = raw.endsWith("\r") ? raw.slice(0, -1) : raw;
    if (line === "") {
      if (data.length || placed) yield { event, data: data.join("\n"), id };
      event = "message";
      data = [];
      placed = false;
    } else if (line.startsWith("event:")) {
      event = line.slice(6).trim();
    } else if (line.startsWith("id:")) {
      id = line.slice(3).trim();
      placed = true;
    } else if (line.startsWith("data:")) {
      data.push(line.slice(5).replace(/^ /, ""));
    }
  }
}
