// The page: what is asked for goes to the server as a job, its previews appear while it samples, and
// every result may be the next input.

import * as api from "./api.js";
import { Editor } from "./editor.js";
import { Form } from "./form.js";
import { Gallery, imageOf, showHistory } from "./results.js";

const MAX_GALLERY = 200;
const MAX_HISTORY = 60;
const LARGEST_UPLOAD = 2048; // pixels a side; a larger photo is reduced here, before it is sent
const CANCELLED_ELSEWHERE =
  "This request was cancelled: the connection was lost for too long, or another tab cancelled it. " +
  "Generate again.";
const byId = (id) => document.getElementById(id);

let info;
let form;
let editor;
let gallery;
let jobs = []; // {id, request, state}, those that have not ended
let history = []; // entries {id, size, request, provenance}
let shown = []; // the gallery's, the oldest first
let current = null;
let choices = []; // the results of the last job, if there are several
let unfollow = () => {};
let stays = false; // whether the message is to stay until another request is sent

// ---- messages

function complain(sentence, keep = false) {
  byId("message-text").textContent = sentence;
  byId("message").hidden = !sentence;
  if (sentence) byId("message").scrollIntoView({ block: "nearest" });
  stays = keep;
}

async function guarded(act) {
  try {
    if (!stays) complain("");
    await act();
  } catch (error) {
    complain(error.message);
  }
}

// ---- what stays in this tab

function save() {
  const state = { jobs: jobs.map(({ id, request }) => ({ id, request })), history, shown, current };
  try {
    sessionStorage.setItem("glide_jax", JSON.stringify(state));
  } catch {
    // No room: the page goes on without.
  }
}

function restored() {
  try {
    return JSON.parse(sessionStorage.getItem("glide_jax")) || {};
  } catch {
    return {};
  }
}

// ---- images

function loaded(url) {
  return new Promise((resolve, reject) => {
    const image = new Image();
    image.onload = () => resolve(image);
    image.onerror = () => reject(new Error("This image is not kept on the server any more."));
    image.src = url;
  });
}

async function open(entry) {
  const bitmap = await loaded(api.imageUrl(entry.id));
  if (!history.some((other) => other.id === entry.id)) history.push(entry);
  history = history.slice(-MAX_HISTORY);
  current = entry.id;
  choices = [];
  editor.open({ width: bitmap.naturalWidth, height: bitmap.naturalHeight, bitmap }, entry.frame);
  showHistory(history, current, (other) => guarded(() => open(other)));
  save();
  showStage();
}

async function bitmapOf(file) {
  try {
    return await createImageBitmap(file);
  } catch {
    throw new Error(`${file.name || "This"} is no image that can be read here: use PNG, JPEG or WebP.`);
  }
}

async function openFile(file) {
  let blob = file;
  if (file.size > info.max_upload_bytes / 4) {
    const bitmap = await bitmapOf(file);
    const scale = Math.min(1, LARGEST_UPLOAD / Math.max(bitmap.width, bitmap.height));
    const canvas = document.createElement("canvas");
    canvas.width = Math.max(1, Math.round(bitmap.width * scale));
    canvas.height = Math.max(1, Math.round(bitmap.height * scale));
    canvas.getContext("2d").drawImage(bitmap, 0, 0, canvas.width, canvas.height);
    blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.95));
  }
  const { id, width, height } = await api.upload(blob);
  await open({ id, size: Math.max(width, height), request: null, provenance: null });
  if (form.task === "sample") form.choose(info.tasks.inpaint ? "inpaint" : form.task);
}

// ---- asking

async function requestOf() {
  const request = form.request();
  if (request.task === "sample") return request;
  if (!current) throw new Error("Open an image first, or generate one.");
  request.image = current;
  if (request.task !== "inpaint") return request;
  const mask = await editor.maskFile();
  if (!mask && !editor.isMoved() && !editor.hasHoles) {
    throw new Error("Paint what is to be repainted, or move the frame beyond the image.");
  }
  if (mask) request.mask = (await api.upload(mask)).id;
  request.frame = editor.frame;
  return request;
}

async function send(request) {
  const { id, state } = await api.submit(request);
  jobs.push({ id, request, state, last: null });
  save();
  followAll();
  showStage();
  const top = byId("stage").getBoundingClientRect().top;
  if (top < 0 || top > innerHeight / 2) byId("work").scrollIntoView({ block: "start" });
}

// What was said of an earlier request goes.
function ask(make) {
  stays = false;
  return guarded(async () => send(await make()));
}

const generate = () => ask(requestOf);

function again(entry) {
  const { seed, ...request } = entry.request;
  return ask(() => ({ ...request, num_images: 1 }));
}

function vary(entry) {
  const made = entry.provenance;
  const request = { task: "edit", image: entry.id, strength: form.strength() };
  const known = new Set(info.tasks.edit.map((field) => field.name));
  if (known.has("prompt")) request.prompt = made.prompt;
  if (known.has("negative_prompt")) request.negative_prompt = made.negative_prompt;
  return ask(() => request);
}

async function same(entry) {
  form.fill({ ...entry.request, seed: entry.provenance.seed });
  byId("controls").scrollIntoView({ block: "start" });
  const id = entry.request.image;
  if (!id) return;
  const known = [...history, ...shown].find((other) => other.id === id);
  await guarded(() => open(known || { id, size: entry.size, request: null, provenance: null }));
}

async function cancel() {
  const job = jobs[0];
  if (!job) return;
  job.isCancelledHere = true; // before the stream of events says that it is
  await guarded(async () => ended(job, await api.cancel(job.id)));
}

// ---- following

function followAll() {
  unfollow();
  unfollow = () => {};
  if (!jobs.length) return;
  let isLost = false;
  const lost = (isClosed) => {
    isLost = true;
    if (isClosed) return guarded(recheck);
    complain("The connection to the server is lost; this page connects again by itself.");
  };
  unfollow = api.follow(
    jobs.map((job) => job.id),
    (status) => {
      if (isLost) complain("");
      isLost = false;
      const job = jobs.find((other) => other.id === status.id);
      if (!job) return;
      job.last = status;
      if (["done", "failed", "cancelled"].includes(status.state)) ended(job, status);
      else showStage();
    },
    lost,
  );
}

// The server knows none of them any more, or refuses: each is asked about.
async function recheck() {
  for (const job of [...jobs]) {
    try {
      const status = await api.job(job.id);
      job.last = status;
      if (["done", "failed", "cancelled"].includes(status.state)) ended(job, status);
    } catch (error) {
      if (error.status !== 404) throw error;
      jobs = jobs.filter((other) => other !== job);
      complain("The server was started anew: a request was lost, send it again.", true);
    }
  }
  save();
  showStage();
}

function ended(job, status) {
  if (!jobs.includes(job)) return;
  jobs = jobs.filter((other) => other !== job);
  const made = status.images
    .filter((image) => image.id)
    .map(({ id, provenance }) => ({
      id,
      size: status.size,
      request: { ...job.request, seed: status.seed },
      provenance,
      frame: frameIn(job.request.frame),
    }));
  for (const entry of made) {
    shown.push(entry);
    gallery.add(entry);
  }
  for (const old of shown.splice(0, Math.max(0, shown.length - MAX_GALLERY))) gallery.drop(old.id);
  if (status.error && status.state === "failed") complain(status.error, true);
  else if (status.state === "cancelled" && !job.isCancelledHere) complain(CANCELLED_ELSEWHERE, true);
  else if (status.notes.length) complain(status.notes.join(" "), true);
  choices = made.length > 1 ? made : [];
  save();
  if (made.length === 1) guarded(() => open(made[0]));
  if (jobs.length) followAll();
  else unfollow();
  showStage();
}

// Where the frame of a request is in the image that grew by it.
function frameIn(frame) {
  if (!frame) return undefined;
  const scale = Math.max(1, info.image_size / frame.side);
  const at = (value) => Math.max(0, Math.round(value * scale));
  return { left: at(frame.left), top: at(frame.top), side: Math.round(frame.side * scale) };
}

// ---- what the stage shows

function showStage() {
  const job = jobs[0];
  const isBusy = Boolean(job);
  const isChoosing = !isBusy && choices.length > 0;
  const hasImage = !isBusy && !isChoosing && editor.image !== null;
  byId("tiles").hidden = !isBusy && !isChoosing;
  byId("canvas").hidden = !hasImage;
  byId("empty").hidden = isBusy || isChoosing || hasImage;
  byId("tools").hidden = !(hasImage && editor.paints);
  byId("canvas-help").hidden = !(hasImage && byId("canvas-help").textContent);
  byId("choose").hidden = !isChoosing;
  byId("progress").hidden = !isBusy;
  byId("stage").classList.toggle("busy", isBusy);
  if (isBusy) showPreviews(job);
  if (isChoosing) showChoices();
  if (hasImage) editor.show();
}

function tilesOf(count) {
  const tiles = byId("tiles");
  tiles.style.setProperty("--columns", Math.ceil(Math.sqrt(count)));
  return tiles;
}

function showPreviews(job) {
  const count = job.request.rerank || job.request.num_images || 1;
  const images = job.last ? job.last.images : Array.from({ length: count }, () => ({}));
  const tiles = tilesOf(images.length);
  if (tiles.dataset.of !== job.id) {
    tiles.dataset.of = job.id;
    tiles.replaceChildren(
      ...images.map(() => {
        const tile = document.createElement("div");
        tile.className = "tile";
        return tile;
      }),
    );
  }
  images.forEach(({ id, preview }, place) => {
    const url = id ? api.imageUrl(id) : preview;
    const tile = tiles.children[place];
    let image = tile.querySelector("img");
    if (!url || (image && image.dataset.url === url)) return;
    if (!image) tile.append((image = imageOf(url, `image ${place + 1} so far`, 64)));
    image.dataset.url = url;
    image.src = url;
  });
  showStatus(job);
}

function showStatus(job) {
  const status = job.last;
  const bar = byId("bar");
  let text = "Sending …";
  if (status && status.state === "queued") {
    const before = status.ahead;
    text = before ? `${before} ${before === 1 ? "image comes" : "images come"} first` : "Next";
    bar.removeAttribute("value");
  } else if (status && status.state === "running") {
    const done = status.images.filter((image) => image.done).length;
    const { seconds_left: left, fraction } = status;
    const count = status.images.length;
    const which = count > 1 ? `${done} of ${count} done` : "Sampling";
    if (fraction > 0) bar.value = (done + fraction * Math.min(count - done, 4)) / count;
    else bar.removeAttribute("value");
    if (left !== null) text = `${which}, about ${Math.max(1, Math.round(left))} s left`;
    else if (fraction > 0) text = which;
    else text = "Starting; the first time with these settings compiles them";
  }
  if (jobs.length > 1) text += ` · ${jobs.length - 1} more in your queue`;
  if (byId("status").textContent !== text) byId("status").textContent = text;
}

function showChoices() {
  const tiles = tilesOf(choices.length);
  tiles.dataset.of = "";
  tiles.replaceChildren(
    ...choices.map((entry, place) => {
      const tile = document.createElement("button");
      tile.type = "button";
      tile.className = "tile";
      tile.title = "Go on with this image";
      tile.setAttribute("aria-label", `Go on with result ${place + 1}`);
      tile.append(imageOf(api.imageUrl(entry.id), `result ${place + 1}`, entry.size));
      tile.addEventListener("click", () => guarded(() => open(entry)));
      return tile;
    }),
  );
}

// ---- wiring

function onTask(task) {
  if (!editor) return;
  editor.setPaints(task === "inpaint", task === "edit" || task === "upsample");
  byId("empty-text").textContent =
    task === "sample" ? "What you generate appears here." : "Open an image, or generate one first.";
  showStage();
}

function showTools() {
  byId("undo").disabled = !editor.undone?.length;
  for (const button of document.querySelectorAll("[data-tool]")) {
    button.setAttribute("aria-pressed", String(button.dataset.tool === editor.tool));
  }
}

function onKey(event) {
  if (event.key === "Escape" && jobs.length) return cancel();
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    return byId("controls").requestSubmit();
  }
  const typed = event.target.closest("input:not([type=radio]):not([type=range]), textarea, select");
  if (typed || !editor.paints || !editor.image || byId("tools").hidden) return;
  const key = event.key.toLowerCase();
  if ((event.ctrlKey || event.metaKey) && key === "z") editor.undo();
  else if (event.ctrlKey || event.metaKey || event.altKey) return;
  else if (key === "b") editor.use("brush");
  else if (key === "e") editor.use("eraser");
  else if (key === "f") editor.use("frame");
  else if (key === "i") editor.invert();
  else if (key === "[" || key === "]") {
    const size = byId("brush-size");
    size.value = Number(size.value) * (key === "]" ? 1.25 : 0.8);
    editor.brush = Number(size.value);
    editor.show();
  } else return;
  event.preventDefault();
}

function wire() {
  byId("controls").addEventListener("submit", (event) => {
    event.preventDefault();
    generate();
  });
  byId("cancel").addEventListener("click", cancel);
  byId("dismiss").addEventListener("click", () => complain(""));
  for (const id of ["open", "open-more"]) byId(id).addEventListener("click", () => byId("file").click());
  byId("upload-mask").addEventListener("click", () => byId("mask-file").click());
  byId("file").addEventListener("change", (event) => {
    const [file] = event.target.files;
    event.target.value = "";
    if (file) guarded(() => openFile(file));
  });
  byId("mask-file").addEventListener("change", (event) => {
    const [file] = event.target.files;
    event.target.value = "";
    if (file) guarded(async () => editor.load(await bitmapOf(file)));
  });
  for (const button of document.querySelectorAll("[data-tool]")) {
    button.addEventListener("click", () => editor.use(button.dataset.tool));
  }
  byId("brush-size").addEventListener("input", (event) => (editor.brush = Number(event.target.value)));
  byId("undo").addEventListener("click", () => editor.undo());
  byId("invert").addEventListener("click", () => editor.invert());
  byId("clear").addEventListener("click", () => editor.clear());
  document.addEventListener("keydown", onKey);
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    const [file] = event.dataTransfer.files;
    if (file) guarded(() => openFile(file));
  });
  document.addEventListener("paste", (event) => {
    const [file] = event.clipboardData.files;
    if (file) guarded(() => openFile(file));
  });
}

async function start() {
  info = await api.info();
  const sizes = info.stages.map((stage) => `${stage.image_size}×${stage.image_size}`).join(" → ");
  byId("model").textContent = `${info.name} · ${sizes}`;
  document.title = `${info.name} · glide_jax`;
  editor = new Editor(byId("canvas"), byId("canvas-help"), showTools);
  byId("canvas").setAttribute("aria-label", "The image");
  form = new Form(info, onTask);
  gallery = new Gallery({
    open: (entry) => guarded(() => open(entry)),
    again,
    vary: info.tasks.edit ? vary : null,
    same,
  });
  wire();
  const kept = restored();
  for (const entry of kept.shown || []) {
    try {
      await loaded(api.imageUrl(entry.id));
      shown.push(entry);
      gallery.add(entry);
    } catch {
      // The server has forgotten it.
    }
  }
  history = [];
  for (const entry of kept.history || []) {
    if (await loaded(api.imageUrl(entry.id)).catch(() => null)) history.push(entry);
  }
  const last = history.find((entry) => entry.id === kept.current);
  if (last) await open(last);
  else showHistory(history, null, (entry) => guarded(() => open(entry)));
  jobs = (kept.jobs || []).map((job) => ({ ...job, state: "queued", last: null }));
  if (jobs.length) await recheck();
  followAll();
  onTask(form.task);
}

guarded(start).then(() => document.body.classList.add("ready"));
