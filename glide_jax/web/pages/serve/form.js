// The controls: built from the tables of /api/info, so that they offer what the models can do.

const LABELS = {
  prompt: "Prompt",
  negative_prompt: "Negative prompt",
  label: "Class",
  guidance_scale: "Guidance scale",
  clip_scale: "CLIP scale",
  classifier_scale: "Classifier scale",
  num_images: "Images",
  seed: "Seed",
  steps: "Steps",
  sampler: "Sampler",
  strength: "Strength",
  resamples: "Resamples",
  aug_level: "Noise on the image",
  eta: "Eta",
  temperature: "Temperature",
  dynamic_threshold: "Dynamic threshold",
  threshold_cap: "Threshold cap",
  guidance_interval: "Guidance from, to",
  cache_interval: "Whole network every",
  rerank: "Keep the best of",
};
const PLACEHOLDERS = { seed: "random", rerank: "off", dynamic_threshold: "as configured", threshold_cap: "as configured" };
const TASKS = {
  sample: "Text to image",
  inpaint: "Inpaint",
  edit: "Image to image",
  upsample: "Enlarge",
};
const SHOWN = {
  sample: "New image",
};
const MORE = new Set([
  ...["eta", "temperature", "dynamic_threshold", "threshold_cap", "guidance_interval", "cache_interval"],
  ...["aug_level", "clip_scale", "classifier_scale", "rerank"],
]);
const SLIDERS = { guidance_scale: [1, 10, 0.5], strength: [0.05, 1, 0.05] };
const SHARED = new Set(["prompt", "negative_prompt", "num_images", "seed", "label"]);
const FROM_EDITOR = new Set(["image", "mask", "frame", "result"]);

// Settings of later stages are STAGE.SETTING.
const stageOf = (name) => name.split(".").slice(0, -1).join(".");

const byId = (id) => document.getElementById(id);

function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

export class Form {
  constructor(info, onTask) {
    this.info = info;
    this.onTask = onTask;
    this.shared = {};
    this.own = {};
    for (const task of Object.keys(info.tasks)) {
      const words = info.reads_captions ? TASKS : { ...TASKS, ...SHOWN };
      const radio = element("input", { type: "radio", name: "task", value: task, className: "unseen" });
      radio.addEventListener("change", () => this.choose(task));
      byId("tasks").append(element("label", {}, radio, element("span", { textContent: words[task] })));
    }
    this.choose(Object.keys(info.tasks)[0]);
  }

  choose(task) {
    this.remember();
    this.task = task;
    for (const radio of document.getElementsByName("task")) radio.checked = radio.value === task;
    const fields = byId("fields");
    const more = byId("more-fields");
    fields.replaceChildren();
    more.replaceChildren();
    let stage = "";
    for (const field of this.info.tasks[task]) {
      if (FROM_EDITOR.has(field.name)) continue;
      const later = stageOf(field.name);
      if (later && later !== stage) more.append(element("h3", { textContent: `Then ${later}` }));
      stage = later;
      (later || MORE.has(field.name) ? more : fields).append(this.control(field));
    }
    byId("more").hidden = !more.childElementCount;
    this.onTask(task);
  }

  control(field) {
    const stage = stageOf(field.name);
    const own = stage ? field.name.slice(stage.length + 1) : field.name;
    const name = LABELS[own] || own;
    const id = `field-${field.name}`;
    const kept = this.kept(field);
    const box = element("div", { className: `field ${stage ? "later" : own}` });
    const label = element("label", { htmlFor: id, textContent: name });
    box.append(label);
    let input;
    if (field.kind === "text") {
      input = element("textarea", { rows: field.name === "prompt" ? 3 : 1, value: kept ?? "" });
      input.placeholder = field.name === "prompt" ? "what the image shows" : "what it does not show";
    } else if (field.kind === "choice") {
      input = element("select");
      for (const choice of field.choices) {
        const words = choice === "" ? "all" : String(choice);
        input.append(element("option", { value: JSON.stringify(choice), textContent: words }));
      }
      const wanted = JSON.stringify(kept ?? field.default);
      input.value = wanted;
    } else if (field.kind === "interval") {
      const [low, high] = kept || ["", ""];
      input = this.number(field, low, field.low);
      const end = this.number(field, high, field.high);
      end.id = `${id}-end`;
      end.title = field.about;
      end.setAttribute("aria-label", `${name}, its end`);
      input.setAttribute("aria-label", `${name}, its beginning`);
      box.append(element("div", { className: "pair" }, input, end));
    } else {
      input = this.number(field, kept ?? field.default ?? "", PLACEHOLDERS[field.name] ?? "");
    }
    input.id = id;
    input.title = field.about;
    // A stage's own, for who does not see the heading above.
    if (stage) input.setAttribute("aria-label", `${stage}: ${name}`);
    const slider = SLIDERS[field.name];
    if (slider) {
      const [low, high, step] = slider;
      const range = element("input", { type: "range", min: low, max: high, step, value: input.value });
      range.setAttribute("aria-label", `${name}, slider`);
      range.tabIndex = -1; // the number beside it is the same
      range.addEventListener("input", () => (input.value = range.value));
      input.addEventListener("input", () => (range.value = input.value));
      box.append(range);
    }
    if (!input.parentElement) box.append(input);
    return box;
  }

  number(field, value, placeholder) {
    const input = element("input", { type: "number", inputMode: "decimal", value, placeholder });
    input.step = field.kind === "integer" ? "1" : "any";
    if (field.low !== undefined) input.min = field.low;
    if (field.high !== undefined) input.max = field.high;
    return input;
  }

  remember() {
    for (const field of this.task ? this.info.tasks[this.task] : []) {
      const input = byId(`field-${field.name}`);
      if (!input) continue;
      this.valuesFor(field)[field.name] = this.read(field, input);
    }
  }

  // What is asked for is the same in every task; how it is sampled, each task has its own.
  valuesFor(field) {
    if (SHARED.has(field.name)) return this.shared;
    return (this.own[this.task] ||= {});
  }

  kept(field) {
    return this.valuesFor(field)[field.name];
  }

  read(field, input) {
    if (field.kind === "text") return input.value;
    if (field.kind === "choice") return JSON.parse(input.value);
    if (field.kind === "interval") {
      const end = byId(`${input.id}-end`).value;
      if (input.value === "" && end === "") return null;
      return [input.value === "" ? field.low : Number(input.value), end === "" ? field.high : Number(end)];
    }
    return input.value === "" ? null : Number(input.value);
  }

  // The fields that have a value, as the API takes them.
  request() {
    this.remember();
    const request = { task: this.task };
    for (const field of this.info.tasks[this.task]) {
      const value = this.kept(field);
      if (FROM_EDITOR.has(field.name) || value === null || value === undefined) continue;
      request[field.name] = value;
    }
    return request;
  }

  // Of image to image, also where that is not what is shown.
  strength() {
    this.remember();
    const field = this.info.tasks.edit.find(({ name }) => name === "strength");
    return this.own.edit?.strength ?? field.default;
  }

  // Shows the values of a request that was sent before.
  fill(request) {
    const values = { ...request };
    this.choose(this.info.tasks[values.task] ? values.task : this.task);
    for (const field of this.info.tasks[this.task]) {
      if (field.name in values) this.valuesFor(field)[field.name] = values[field.name];
    }
    const task = this.task;
    this.task = null; // what the controls show now is not to be kept
    this.choose(task);
  }
}
