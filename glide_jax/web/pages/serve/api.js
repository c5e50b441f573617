// Requests of the server. What it refuses becomes an Error whose message is its sentence.

const LOST = "The server does not answer. It may have ended; this page goes on when it is back.";

async function send(method, path, body, type) {
  let response;
  try {
    response = await fetch(path, { method, body, headers: type ? { "content-type": type } : {} });
  } catch {
    throw new Error(LOST);
  }
  const isJson = (response.headers.get("content-type") || "").startsWith("application/json");
  const answer = isJson ? await response.json() : { error: await response.text() };
  if (!response.ok) {
    const error = new Error(answer.error || `The server answered ${response.status}.`);
    error.status = response.status;
    throw error;
  }
  return answer;
}

// A person is one client in all of their tabs.
function clientName() {
  let name = localStorage.getItem("glide_jax client");
  if (!/^[A-Za-z0-9_-]{8,64}$/.test(name || "")) {
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    name = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
    localStorage.setItem("glide_jax client", name);
  }
  return name;
}

export const client = clientName();
export const info = () => send("GET", "/api/info");
export const job = (id) => send("GET", `/api/jobs/${id}`);
export const cancel = (id) => send("POST", `/api/jobs/${id}/cancel`);
export const imageUrl = (id) => `/api/images/${id}.png`;

export function submit(request) {
  return send("POST", "/api/jobs", JSON.stringify({ client, ...request }), "application/json");
}

export function upload(blob) {
  const type = blob.type.startsWith("image/") ? blob.type : "image/unknown";
  return send("POST", `/api/images?client=${client}`, blob, type);
}

// Calls onJob with each job whenever it changes; the server sees that somebody waits. An
// EventSource connects again by itself. Returns what ends it.
export function follow(ids, onJob, onLost) {
  const source = new EventSource(`/api/events?jobs=${ids.join(",")}`);
  source.onmessage = (event) => onJob(JSON.parse(event.data));
  source.onerror = () => onLost(source.readyState === EventSource.CLOSED);
  return () => source.close();
}
