// The canvas: an image, a mask painted on it, and the square frame that is sampled.
//
// The mask is kept in the image's own coordinates, so that it stays where it is on the image when
// the frame moves. With the tools brush and eraser the canvas shows the image and the frame; with
// the tool frame it shows their surroundings too, and the frame can be dragged.

const MASK_SIDE = 512;
const MAX_UNDO = 30;
const HANDLE = 18;
const HELP = {
  brush: "Paint what is to be repainted.",
  eraser: "Paint what is to be kept after all.",
  frame: "Drag the frame, or its corner: the image grows by what lies beyond it.",
};
const KEYS = {
  brush: " By keyboard: arrows move, Space paints, [ and ] change the size.",
  eraser: " By keyboard: arrows move, Space erases, [ and ] change the size.",
  frame: " By keyboard: arrows move it, + and − change its size.",
};
const HAS_KEYS = matchMedia("(hover: hover)");

function canvasOf(width, height) {
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(width));
  canvas.height = Math.max(1, Math.round(height));
  return canvas;
}

export class Editor {
  constructor(canvas, help, onChange) {
    this.canvas = canvas;
    this.help = help;
    this.onChange = onChange;
    this.context = canvas.getContext("2d");
    this.image = null;
    this.tool = "brush";
    this.brush = 48;
    this.paints = false; // whether there is a mask and a frame in this task
    this.usesMiddle = false; // whether the task uses the image's middle square alone
    this.cursor = null; // of the keyboard, or of the mouse over the canvas
    canvas.addEventListener("pointerdown", (event) => this.down(event));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    canvas.addEventListener("pointerup", () => this.up());
    canvas.addEventListener("pointercancel", () => this.up());
    canvas.addEventListener("pointerleave", () => this.leave());
    canvas.addEventListener("keydown", (event) => this.key(event));
    canvas.addEventListener("blur", () => this.leave());
    new ResizeObserver(() => this.show()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.show());
  }

  // frame: where the last one was, if the image has grown by it.
  open(image, frame) {
    this.image = image; // {width, height, bitmap}
    this.resetFrame();
    if (frame) this.frame = { ...frame };
    this.hasHoles = this.findHoles();
    const scale = MASK_SIDE / Math.max(image.width, image.height);
    this.maskScale = scale;
    this.mask = canvasOf(image.width * scale, image.height * scale);
    this.undone = [];
    this.tool = this.tool === "frame" ? "brush" : this.tool;
    this.changed();
  }

  resetFrame() {
    const { width, height } = this.image;
    const side = Math.min(width, height);
    this.frame = { left: Math.floor((width - side) / 2), top: Math.floor((height - side) / 2), side };
  }

  // Whether something of it is transparent: it grew beyond a corner.
  findHoles() {
    const canvas = canvasOf(MASK_SIDE, MASK_SIDE);
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(this.image.bitmap, 0, 0, MASK_SIDE, MASK_SIDE);
    const data = context.getImageData(0, 0, MASK_SIDE, MASK_SIDE).data;
    return data.some((value, i) => i % 4 === 3 && value < 128);
  }

  use(tool) {
    this.tool = tool;
    this.cursor = null;
    this.changed();
  }

  setPaints(paints, usesMiddle) {
    this.paints = paints;
    this.usesMiddle = usesMiddle;
    this.changed();
  }

  // What the canvas shows: a square of the image's plane.
  view() {
    const { width, height } = this.image;
    const { left, top, side } = this.paints ? this.frame : { left: 0, top: 0, side: 0 };
    if (this.tool !== "frame" || !this.paints) {
      const [x, y] = [Math.min(0, left), Math.min(0, top)];
      const [right, bottom] = [Math.max(width, left + side), Math.max(height, top + side)];
      const long = Math.max(right - x, bottom - y);
      return { left: (x + right - long) / 2, top: (y + bottom - long) / 2, side: long };
    }
    const low = Math.min(-width / 3, -height / 3, left - side / 8, top - side / 8);
    const high = Math.max(width * (4 / 3), height * (4 / 3), left + side * 1.125, top + side * 1.125);
    return { left: low, top: low, side: high - low };
  }

  show() {
    if (!this.image || !this.canvas.clientWidth) return;
    const pixels = Math.round(this.canvas.clientWidth * (window.devicePixelRatio || 1));
    if (this.canvas.width !== pixels) this.canvas.width = this.canvas.height = pixels;
    const context = this.context;
    const view = this.view();
    const scale = pixels / view.side;
    const style = getComputedStyle(this.canvas);
    context.setTransform(1, 0, 0, 1, 0, 0);
    this.hatch(context, pixels, style);
    context.setTransform(scale, 0, 0, scale, -view.left * scale, -view.top * scale);
    context.imageSmoothingEnabled = scale < 1.5;
    context.drawImage(this.image.bitmap, 0, 0, this.image.width, this.image.height);
    if (!this.paints) return;
    context.imageSmoothingEnabled = true;
    context.globalAlpha = 0.6;
    context.drawImage(this.tinted(style), 0, 0, this.image.width, this.image.height);
    context.globalAlpha = 1;
    if (this.tool === "frame" || this.frame.side < view.side) this.showFrame(context, scale, view, style);
    if (this.tool !== "frame" && this.cursor) this.showCursor(context, scale);
  }

  hatch(context, pixels, style) {
    context.fillStyle = style.getPropertyValue("--hatch-ground");
    context.fillRect(0, 0, pixels, pixels);
    context.strokeStyle = style.getPropertyValue("--hatch");
    context.lineWidth = 2;
    context.beginPath();
    for (let i = -pixels; i < pixels; i += 16) {
      context.moveTo(i, 0);
      context.lineTo(i + pixels, pixels);
    }
    context.stroke();
  }

  tinted(style) {
    const tinted = canvasOf(this.mask.width, this.mask.height);
    const context = tinted.getContext("2d");
    context.drawImage(this.mask, 0, 0);
    context.globalCompositeOperation = "source-in";
    context.fillStyle = style.getPropertyValue("--mask");
    context.fillRect(0, 0, tinted.width, tinted.height);
    return tinted;
  }

  showFrame(context, scale, view, style) {
    const { left, top, side } = this.frame;
    context.fillStyle = style.getPropertyValue("--shade");
    context.beginPath();
    context.rect(view.left, view.top, view.side, view.side);
    context.rect(left, top, side, side);
    context.fill("evenodd");
    const ratio = (window.devicePixelRatio || 1) / scale;
    context.lineWidth = ratio;
    context.strokeStyle = style.getPropertyValue("--quiet");
    context.strokeRect(0, 0, this.image.width, this.image.height);
    context.lineWidth = 3 * ratio;
    context.strokeStyle = style.getPropertyValue("--accent");
    context.strokeRect(left, top, side, side);
    if (this.tool !== "frame") return;
    context.fillStyle = style.getPropertyValue("--accent");
    const handle = HANDLE * ratio;
    context.fillRect(left + side - handle / 2, top + side - handle / 2, handle, handle);
  }

  showCursor(context, scale) {
    const ratio = (window.devicePixelRatio || 1) / scale;
    context.beginPath();
    context.arc(this.cursor.x, this.cursor.y, this.radius(), 0, 2 * Math.PI);
    for (const [colour, width] of [["#000", 3], ["#fff", 1.5]]) {
      context.strokeStyle = colour;
      context.lineWidth = width * ratio;
      context.stroke();
    }
  }

  // Of the brush, in the image's pixels.
  radius() {
    return (this.brush / 2 / this.canvas.clientWidth) * this.view().side;
  }

  at(event) {
    const box = this.canvas.getBoundingClientRect();
    const view = this.view();
    return {
      x: view.left + ((event.clientX - box.left) / box.width) * view.side,
      y: view.top + ((event.clientY - box.top) / box.height) * view.side,
    };
  }

  down(event) {
    if (!this.paints || event.button) return;
    event.preventDefault();
    this.canvas.focus({ preventScroll: true });
    this.canvas.setPointerCapture(event.pointerId);
    const point = this.at(event);
    if (this.tool === "frame") {
      const { left, top, side } = this.frame;
      const view = this.view();
      const reach = (HANDLE * 1.5 * view.side) / this.canvas.clientWidth;
      const corner = Math.hypot(point.x - left - side, point.y - top - side) < reach;
      this.drag = { point, frame: { ...this.frame }, view, corner };
    } else {
      this.remember();
      this.drag = { point };
      this.stroke(point, point);
    }
  }

  move(event) {
    if (!this.paints || !this.image) return;
    if (this.tool !== "frame") {
      const point = this.at(event);
      this.cursor = event.pointerType === "touch" ? null : point;
      if (this.drag) {
        this.stroke(this.drag.point, point);
        this.drag.point = point;
      }
      this.show();
    } else if (this.drag) {
      // By the view that the drag began with: the view follows the frame.
      const box = this.canvas.getBoundingClientRect();
      const { view, frame, point, corner } = this.drag;
      const x = view.left + ((event.clientX - box.left) / box.width) * view.side - point.x;
      const y = view.top + ((event.clientY - box.top) / box.height) * view.side - point.y;
      if (corner) this.setFrame({ ...frame, side: frame.side + Math.max(x, y) });
      else this.setFrame({ ...frame, left: frame.left + x, top: frame.top + y });
    }
  }

  up() {
    if (!this.drag) return;
    this.drag = null;
    this.changed();
  }

  leave() {
    this.cursor = null;
    this.show();
  }

  setFrame({ left, top, side }) {
    const { width, height } = this.image;
    const long = Math.max(width, height);
    side = Math.round(Math.min(4 * long, Math.max(long / 8, 4, side)));
    const seen = Math.max(1, Math.round(Math.min(width, height, side) / 8)); // of the image, at least
    const within = (value, size) => Math.round(Math.min(size - seen, Math.max(seen - side, value)));
    this.frame = { left: within(left, width), top: within(top, height), side };
    this.show();
  }

  stroke(from, to) {
    const context = this.mask.getContext("2d");
    const scale = this.maskScale;
    context.globalCompositeOperation = this.tool === "eraser" ? "destination-out" : "source-over";
    context.lineCap = "round";
    context.strokeStyle = "#fff";
    context.lineWidth = 2 * this.radius() * scale;
    context.beginPath();
    context.moveTo(from.x * scale, from.y * scale);
    context.lineTo(to.x * scale, to.y * scale + 0.01);
    context.stroke();
    this.show();
  }

  remember() {
    const copy = canvasOf(this.mask.width, this.mask.height);
    copy.getContext("2d").drawImage(this.mask, 0, 0);
    this.undone.push(copy);
    if (this.undone.length > MAX_UNDO) this.undone.shift();
  }

  undo() {
    const before = this.undone.pop();
    if (before) this.mask = before;
    this.changed();
  }

  invert() {
    this.remember();
    const context = this.mask.getContext("2d");
    context.globalCompositeOperation = "xor";
    context.fillStyle = "#fff";
    context.fillRect(0, 0, this.mask.width, this.mask.height);
    this.changed();
  }

  clear() {
    this.remember();
    this.mask.getContext("2d").clearRect(0, 0, this.mask.width, this.mask.height);
    this.changed();
  }

  // A mask of the image's shape: white is painted.
  load(bitmap) {
    const wanted = this.image.width / this.image.height;
    if (Math.abs(bitmap.width / bitmap.height / wanted - 1) > 0.02) {
      const sizes = `${bitmap.width}×${bitmap.height} and the image ${this.image.width}×${this.image.height}`;
      throw new Error(`The mask is ${sizes}: use a mask of the image's shape.`);
    }
    this.remember();
    const { width, height } = this.mask;
    const context = this.mask.getContext("2d");
    context.globalCompositeOperation = "source-over";
    context.clearRect(0, 0, width, height);
    context.drawImage(bitmap, 0, 0, width, height);
    const data = context.getImageData(0, 0, width, height);
    for (let i = 0; i < data.data.length; i += 4) {
      const [r, g, b, a] = data.data.subarray(i, i + 4);
      const white = (0.299 * r + 0.587 * g + 0.114 * b) * a >= 128 * 255;
      data.data.fill(255, i, i + 3);
      data.data[i + 3] = white ? 255 : 0;
    }
    context.putImageData(data, 0, 0);
    this.changed();
  }

  key(event) {
    if (!this.paints || !this.image || event.ctrlKey || event.metaKey || event.altKey) return;
    const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const view = this.view();
    const step = view.side / (event.shiftKey ? 128 : 32);
    const { left, top, side } = this.frame;
    if (event.key in arrows) {
      const [x, y] = arrows[event.key];
      if (this.tool === "frame") {
        this.setFrame({ side, left: left + x * Math.max(1, step), top: top + y * Math.max(1, step) });
        this.changed();
      } else {
        const from = this.cursor || { x: left + side / 2, y: top + side / 2 };
        this.cursor = {
          x: Math.min(left + side, Math.max(left, from.x + x * step)),
          y: Math.min(top + side, Math.max(top, from.y + y * step)),
        };
        this.show();
      }
    } else if (event.key === " " && this.tool !== "frame") {
      this.cursor = this.cursor || { x: left + side / 2, y: top + side / 2 };
      this.remember();
      this.stroke(this.cursor, this.cursor);
      this.changed();
    } else if (this.tool === "frame" && "+-−=".includes(event.key)) {
      const grown = side * ("+=".includes(event.key) ? 1.1 : 1 / 1.1);
      this.setFrame({ left: left - (grown - side) / 2, top: top - (grown - side) / 2, side: grown });
      this.changed();
    } else return;
    event.preventDefault();
  }

  changed() {
    let text = "";
    if (this.paints) text = HELP[this.tool] + (HAS_KEYS.matches ? KEYS[this.tool] : "");
    else if (this.usesMiddle && this.image && this.image.width !== this.image.height)
      text = "The middle square of the image is used.";
    this.help.textContent = text;
    this.help.hidden = !text || !this.image;
    this.canvas.className = this.paints ? this.tool : "";
    this.show();
    this.onChange();
  }

  isMoved() {
    const { width, height } = this.image;
    const { left, top, side } = this.frame;
    return left < 0 || top < 0 || left + side > width || top + side > height;
  }

  // What is painted inside the frame, as a file: white on black; null: nothing is.
  async maskFile() {
    const { left, top, side } = this.frame;
    const scale = MASK_SIDE / side;
    const file = canvasOf(MASK_SIDE, MASK_SIDE);
    const context = file.getContext("2d", { willReadFrequently: true });
    context.fillRect(0, 0, MASK_SIDE, MASK_SIDE);
    context.setTransform(scale, 0, 0, scale, -left * scale, -top * scale);
    context.drawImage(this.mask, 0, 0, this.image.width, this.image.height);
    const data = context.getImageData(0, 0, MASK_SIDE, MASK_SIDE).data;
    if (!data.some((value, i) => i % 4 === 0 && value >= 128)) return null;
    return new Promise((resolve) => file.toBlob(resolve, "image/png"));
  }
}
