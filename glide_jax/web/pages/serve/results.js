// The gallery, and the strip of the images that one edit after the other made.

import { imageUrl } from "./api.js";

const byId = (id) => document.getElementById(id);
const FACTS = ["sampler", "steps", "guidance_scale", "eta", "temperature", "resamples"];

function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

function button(text, title, act) {
  const made = element("button", { type: "button", textContent: text, title });
  made.addEventListener("click", act);
  return made;
}

export function nameOf(entry) {
  const prompt = entry.request && entry.request.prompt;
  if (prompt) return prompt;
  if (entry.request && entry.request.label !== undefined) return `class ${entry.request.label}`;
  return entry.provenance ? "no prompt" : "your image";
}

function fileName(entry) {
  const words = nameOf(entry).toLowerCase().replace(/[^\p{L}\p{N}]+/gu, "-").slice(0, 50);
  const made = entry.provenance;
  return `${words.replace(/^-+|-+$/g, "") || "image"}-${made.seed}-${made.index}.png`;
}

// Small images keep their pixels to be seen.
export function imageOf(url, alt, size) {
  const image = element("img", { src: url, alt, decoding: "async" });
  if (size && size <= 128) image.classList.add("pixels");
  return image;
}

export class Gallery {
  constructor(actions) {
    this.actions = actions; // {open, again, vary, same}
  }

  add(entry) {
    byId("gallery").hidden = false;
    byId("cards").prepend(this.card(entry));
  }

  card(entry) {
    const { open, again, vary, same } = this.actions;
    const caption = nameOf(entry);
    const made = entry.provenance;
    const show = element("button", { type: "button", className: "show", title: "Go on with this image" });
    show.setAttribute("aria-label", `Go on with ${caption}`);
    show.append(imageOf(imageUrl(entry.id), caption, entry.size));
    show.addEventListener("click", () => open(entry));
    const download = element("a", { className: "button", href: imageUrl(entry.id), textContent: "Download" });
    download.download = fileName(entry);
    download.title = "A PNG that holds its provenance";
    const acts = element("div", { className: "acts" });
    acts.append(button("Again", "The same request with a new seed", () => again(entry)));
    if (vary) acts.append(button("Vary", "Start from this image, with noise", () => vary(entry)));
    acts.append(download);
    const list = element("dl");
    const fact = (name, value) => list.append(element("dt", { textContent: name }), element("dd", { textContent: value }));
    fact("task", made.task);
    if (made.negative_prompt) fact("negative prompt", made.negative_prompt);
    fact("seed, index", `${made.seed}, ${made.index}`);
    if (made.strength !== null) fact("strength", made.strength);
    for (const name of FACTS) fact(name.replaceAll("_", " "), made.settings[name]);
    fact("weights of steps", made.steps.join(", "));
    fact("glide_jax", made.version);
    const about = element("details", {}, element("summary", { textContent: "Provenance" }), list);
    about.append(button("Same settings", "Put its prompt, seed and settings into the form", () => same(entry)));
    const card = element("li", {}, show, element("p", { className: "caption", textContent: caption }), acts, about);
    card.dataset.id = entry.id;
    return card;
  }

  drop(id) {
    for (const card of byId("cards").children) if (card.dataset.id === id) card.remove();
    byId("gallery").hidden = !byId("cards").childElementCount;
  }
}

export function showHistory(entries, current, open) {
  byId("history").hidden = !entries.length;
  byId("strip").replaceChildren(
    ...entries.map((entry, place) => {
      const go = element("button", { type: "button", title: nameOf(entry) });
      go.append(imageOf(imageUrl(entry.id), `${place + 1}: ${nameOf(entry)}`, entry.size));
      if (entry.id === current) go.setAttribute("aria-current", "true");
      go.addEventListener("click", () => open(entry));
      return element("li", {}, go);
    }),
  );
  byId("strip").querySelector("[aria-current]")?.scrollIntoView({ block: "nearest", inline: "nearest" });
}
