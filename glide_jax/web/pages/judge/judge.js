// One trial at a time: show it, take one answer, send it until the server has it, show the next.
"use strict";

// A second click or key within this time belongs to the trial before.
const SETTLE_MS = 350;
const FIRST_RETRY_MS = 500;
const LAST_RETRY_MS = 8000;
const STORED_NAME = "glide_jax judge";

const $ = (id) => document.getElementById(id);
const KEYS = {
  pair: { ArrowLeft: 0, ArrowDown: 1, ArrowUp: 1, ArrowRight: 2, 1: 0, 2: 1, 3: 2 },
  single: { y: 0, s: 1, n: 2, 1: 0, 2: 1, 3: 2 },
};
const HINTS = { pair: ["←", "↓", "→"], single: ["Y", "S", "N"] };
const NAMES = { pair: ["Left image", "Right image"], single: ["The image"] };

let judge = "";
let trial = null;
let last = null;
let takesAnswersFrom = Infinity;
// Of the trial that is shown: what arrives for an earlier one is dropped.
let turn = 0;

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const kindOf = (shown) => (shown.images.length === 2 ? "pair" : "single");

function say(sentence) {
  $("message").textContent = sentence;
  $("message").hidden = !sentence;
}

function show(section) {
  for (const id of ["start", "trial", "done"]) $(id).hidden = id !== section;
  $("bar").hidden = section === "start";
}

/** JSON of the server, asked again and again while it can't be reached; every request may be. */
async function request(path, fields) {
  const options = fields && {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ judge, ...fields }),
  };
  for (let wait = FIRST_RETRY_MS; ; wait = Math.min(2 * wait, LAST_RETRY_MS)) {
    let response, reply;
    try {
      response = await fetch(path, options);
      reply = await response.json();
    } catch {
      if (response && !response.ok) {
        throw new Error(response.status === 401
          ? "This page needs its token: open the complete address once more."
          : "The server does not take this page's requests: reload it.");
      }
    }
    if (reply && response.ok) return reply;
    if (reply && response.status !== 503) throw new Error(reply.error);
    say(reply ? reply.error : fields
      ? "The server can't be reached. Your answer is kept here and sent again."
      : "The server can't be reached. Trying again.");
    await pause(wait);
  }
}

async function ask(path, fields, note = "") {
  const mine = ++turn;
  takesAnswersFrom = Infinity;
  $("undo").disabled = true;
  document.body.classList.add("waiting");
  try {
    const reply = await request(path, fields);
    if (mine !== turn) return;
    say(reply.stored === false ? "You had answered that already; your first answer counts." : note);
    await render(reply, mine);
  } catch (error) {
    if (mine !== turn) return;
    say(error.message);
    if (!trial) show("start");
    settle(); // the question may be answered once more
  }
}

function settle() {
  takesAnswersFrom = performance.now() + SETTLE_MS;
  document.body.classList.remove("waiting");
  for (const button of $("answers").children) {
    button.classList.remove("chosen");
    button.removeAttribute("aria-pressed");
  }
  $("undo").disabled = !last;
}

async function render(reply, mine) {
  ({ trial, last } = reply);
  $("who").textContent = judge;
  $("progress").max = Math.max(reply.total, 1);
  $("progress").value = reply.answered;
  $("count").textContent = `${reply.answered} of ${reply.total} answered`;
  if (!trial) {
    show("done");
    settle();
    $("thanks").focus();
    return;
  }
  const kind = kindOf(trial);
  const changed = $("question").textContent !== trial.question;
  $("question").textContent = trial.question;
  $("caption").textContent = trial.caption ?? "";
  $("caption").hidden = trial.caption === null;
  const images = trial.images.map((source, i) => {
    const image = new Image();
    image.alt = NAMES[kind][i];
    image.draggable = false;
    image.src = source;
    if (kind === "pair") image.addEventListener("click", (event) => click(event, 2 * i));
    return image;
  });
  $("images").className = kind;
  $("images").replaceChildren(...images);
  const focused = [...$("answers").children].indexOf(document.activeElement);
  $("answers").replaceChildren(...trial.answers.map((answer, i) => {
    const button = document.createElement("button");
    const key = document.createElement("kbd");
    key.textContent = HINTS[kind][i];
    key.setAttribute("aria-hidden", "true");
    button.type = "button";
    button.value = answer.value;
    button.append(answer.label, " ", key);
    button.addEventListener("click", (event) => click(event, i));
    return button;
  }));
  show("trial");
  // Whoever goes by Tab stays where they are, unless there is something new to be read.
  if (changed) $("question").focus();
  else if (focused >= 0) $("answers").children[focused].focus();
  try {
    await Promise.all(images.map((image) => image.decode()));
  } catch {
    const reason = await explain(images);
    if (mine === turn) ask(`api/next?judge=${encodeURIComponent(judge)}`, undefined, reason);
    return;
  }
  if (mine === turn) settle();
}

/** Why an image is not there, in the server's words, which then asks nothing more of it. */
async function explain(images) {
  for (const image of images) {
    const response = await fetch(image.src).catch(() => null);
    const reply = response?.ok ? null : await response?.json().catch(() => null);
    if (reply) return reply.error;
  }
  await pause(LAST_RETRY_MS);
  return "An image did not arrive, so it was fetched again.";
}

/** The second click of a double click says nothing; one of a keyboard counts 0. */
function click(event, index) {
  if (event.detail < 2) answer(index);
}

function answer(index) {
  if (!trial || performance.now() < takesAnswersFrom) return;
  const button = $("answers").children[index];
  button.classList.add("chosen");
  button.setAttribute("aria-pressed", "true");
  ask("api/votes", { trial: trial.id, answer: button.value });
}

function undo() {
  if (last && performance.now() >= takesAnswersFrom) ask("api/undo", { trial: last });
}

function begin() {
  if (judge) {
    ask(`api/next?judge=${encodeURIComponent(judge)}`);
    return;
  }
  turn += 1;
  trial = null;
  say("");
  show("start");
  $("name").focus();
}

function remember(name) {
  judge = name;
  try {
    localStorage.setItem(STORED_NAME, name);
  } catch {
    // Without storage the name is asked again after a reload.
  }
}

$("start").addEventListener("submit", (event) => {
  event.preventDefault();
  const name = $("name").value.trim();
  if (!name) return;
  remember(name);
  begin();
});

$("undo").addEventListener("click", (event) => event.detail < 2 && undo());

$("leave").addEventListener("click", () => {
  remember("");
  $("name").value = "";
  begin();
});

document.addEventListener("keydown", (event) => {
  // A key that is held would answer one trial after the other.
  if (event.repeat && event.target instanceof HTMLButtonElement) event.preventDefault();
  const other = event.ctrlKey || event.altKey || event.metaKey || event.repeat;
  if (other || !$("start").hidden) return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (key === "u") {
    undo();
  } else if (trial && key in KEYS[kindOf(trial)]) {
    event.preventDefault();
    answer(KEYS[kindOf(trial)][key]);
  }
});

// A page that a browser kept and shows again may be of a trial that has its answer.
window.addEventListener("pageshow", (event) => event.persisted && begin());

try {
  judge = localStorage.getItem(STORED_NAME) ?? "";
} catch {
  judge = "";
}
begin();
