// The page of `raven serve`: sends an image to /predict and draws the annotation that comes back.
// Whatever the server says is set as text, never as markup.
"use strict";

const byId = (id) => document.getElementById(id);
const state = { model: null, file: null, image: null, objects: [], annotation: null, view: "overlay", run: 0 };
const MODES = {
  full_image: "The whole image",
  sliding_window: "Sliding windows",
  sliding_window_det: "Sliding windows",
};

function say(text, bad = false) {
  byId("status").textContent = text;
  byId("status").classList.toggle("bad", bad);
}

function element(name, text, className) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

async function ask(address, request) {
  let answer;
  try {
    answer = await fetch(address, request);
  } catch {
    throw new Error("The server does not respond; is it still running?");
  }
  if (answer.ok) return answer;
  let detail;
  try {
    detail = (await answer.json()).detail;
  } catch { /* no JSON */ }
  throw new Error(typeof detail === "string" ? detail : `The server answered with ${answer.status}.`);
}

// --- the model ------------------------------------------------------------------------------------

async function start() {
  try {
    state.model = await (await ask("model")).json();
  } catch (error) {
    say(error.message, true);
    return;
  }
  const model = state.model;
  document.title = `${model.name} – ravenML`;
  byId("name").textContent = model.name;
  byId("about").textContent =
    `${model.task}, ${model.classes.length} classes, ${model.input.width}×${model.input.height}, on ${model.device}`;
  for (const mode of model.modes.filter((name) => name in MODES)) {
    const option = element("option", MODES[mode]);
    option.value = mode;
    option.selected = mode === model.mode.name;
    byId("mode").append(option);
  }
  byId("window").placeholder = `${model.input.width}x${model.input.height}`;
  showWindow();
  for (const one of model.classes) byId("classes").append(classLine(one));
  const settings = model.provenance.settings || {};
  const run = model.provenance.run || {};
  const facts = {
    Plugin: `${model.plugin.name} ${model.plugin.version || ""}`,
    Architecture: settings.architecture,
    Run: run.id,
    Dataset: run.dataset && run.dataset.name,
    Folds: model.folds > 1 ? `mean of ${model.folds}` : undefined,
    Fingerprint: (model.provenance.fingerprint || []).join(", "),
  };
  for (const [name, value] of Object.entries(facts)) {
    if (value) byId("facts").append(element("dt", name), element("dd", String(value)));
  }
}

function classLine(one) {
  const line = element("li");
  const label = element("label");
  const box = element("input");
  box.type = "checkbox";
  box.checked = true;
  box.addEventListener("change", draw);
  const swatch = element("span", undefined, "swatch");
  swatch.style.background = one.color;
  one.box = box;
  one.share = element("span", "", "share");
  one.label = label;
  label.append(box, swatch, element("span", one.title, "title"), one.share);
  line.append(label);
  return line;
}

function showWindow() {
  byId("window-label").hidden = !byId("mode").value.startsWith("sliding_window");
}

// --- from a file to a picture -----------------------------------------------------------------------

function parameters(answer) {
  const given = new URLSearchParams({ answer });
  const mode = byId("mode").value;
  if (mode && mode !== state.model.mode.name) given.set("mode", mode);
  const sides = byId("window").value.trim();
  if (mode.startsWith("sliding_window") && sides) given.set("window", sides);
  const threshold = Number(byId("threshold").value);
  if (threshold) given.set("threshold", String(threshold / 100));
  return given;
}

function send(answer) {
  const type = state.file.type.startsWith("image/") ? state.file.type : "application/octet-stream";
  return ask(`predict?${parameters(answer)}`, { method: "POST", body: state.file, headers: { "Content-Type": type } });
}

async function predict() {
  if (!state.file || !state.model) return;
  const run = ++state.run;
  const began = performance.now();
  say(`Predicting ${state.file.name || "the image"} …`);
  try {
    const [answer, shown] = await Promise.all([send("annotation"), picture(state.file)]);
    const annotation = await answer.json();
    const objects = await Promise.all(annotation.objects.map(drawable));
    // A format that this browser does not show, such as TIFF: the server's overlay stands in for the image.
    const image = shown || (await createImageBitmap(await (await send("overlay")).blob()));
    if (run !== state.run) return; // a later image was chosen in the meantime
    Object.assign(state, { annotation, objects: objects.filter(Boolean), image, laidOver: !shown });
    const network = /network;dur=([\d.]+)/.exec(answer.headers.get("server-timing") || "");
    const all = Math.round(performance.now() - began);
    say(
      `${state.file.name || "The image"}: ${annotation.size.width}×${annotation.size.height}, ` +
        `${objects.length} ${objects.length === 1 ? "object" : "objects"}, ${all} ms` +
        (network ? ` (network ${Math.round(Number(network[1]))} ms)` : ""),
    );
    byId("result").hidden = false;
    shares();
    draw();
  } catch (error) {
    if (run !== state.run) return;
    say(error.message, true);
  }
}

async function picture(file) {
  try {
    return await createImageBitmap(file);
  } catch {
    return null;
  }
}

async function drawable(object) {
  const one = state.model.classes.find((known) => known.title === object.classTitle);
  const color = one ? one.color : "#888888";
  if (object.geometryType === "bitmap") {
    const [x, y] = object.bitmap.origin;
    const packed = Uint8Array.from(atob(object.bitmap.data), (character) => character.charCodeAt(0));
    const unpacked = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
    const png = new Blob([await new Response(unpacked).arrayBuffer()], { type: "image/png" });
    const shape = await createImageBitmap(png);
    return { one, color, x, y, ...tinted(shape, color) };
  }
  if (object.geometryType === "rectangle") {
    const [[left, top], [right, bottom]] = object.points.exterior;
    const tag = object.tags.find((each) => typeof each.value === "number");
    const area = (right - left + 1) * (bottom - top + 1);
    return { one, color, box: [left, top, right - left + 1, bottom - top + 1], score: tag && tag.value, area };
  }
  return null;
}

function tinted(shape, color) {
  const canvas = new OffscreenCanvas(shape.width, shape.height);
  const context = canvas.getContext("2d");
  context.drawImage(shape, 0, 0);
  const pixels = context.getImageData(0, 0, shape.width, shape.height).data;
  let area = 0;
  for (let at = 3; at < pixels.length; at += 4) area += pixels[at] > 127;
  context.globalCompositeOperation = "source-in";
  context.fillStyle = color;
  context.fillRect(0, 0, shape.width, shape.height);
  return { shape: canvas, area };
}

function shares() {
  const { width, height } = state.annotation.size;
  for (const one of state.model.classes) {
    const mine = state.objects.filter((object) => object.one === one);
    const boxes = mine.filter((object) => object.box).length;
    const area = mine.reduce((sum, object) => sum + object.area, 0) / (width * height);
    const percent = area >= 0.01 ? (100 * area).toFixed(0) : (100 * area).toFixed(1);
    one.share.textContent = !mine.length ? "–" : boxes ? `${boxes}×` : `${percent} %`;
    one.label.classList.toggle("missing", !mine.length);
  }
}

function draw() {
  if (!state.annotation) return;
  const { width, height } = state.annotation.size;
  // As large as there is room for, and a small image no larger than its pixels bear.
  byId("canvas").style.width = `min(100%, ${(74 * width) / height}vh, ${4 * width}px)`;
  paint(byId("canvas"), state.view, Number(byId("opacity").value) / 100);
}

function paint(canvas, view, opacity) {
  const { width, height } = state.annotation.size;
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d");
  context.fillStyle = "#000000";
  context.fillRect(0, 0, width, height);
  if (view !== "mask" && state.image) context.drawImage(state.image, 0, 0, width, height);
  if (view === "image" || (view === "overlay" && state.laidOver)) return;
  context.globalAlpha = view === "mask" ? 1 : opacity;
  const shown = state.objects.filter((object) => !object.one || object.one.box.checked);
  for (const object of shown) if (object.shape) context.drawImage(object.shape, object.x, object.y);
  context.globalAlpha = 1;
  const thick = Math.max(1, Math.round(Math.max(width, height) / 400));
  context.lineWidth = thick;
  context.font = `${8 + 3 * thick}px system-ui, sans-serif`;
  for (const object of shown.filter((each) => each.box)) {
    const [left, top, wide, high] = object.box;
    context.strokeStyle = context.fillStyle = object.color;
    // Inside the box, on whole pixels.
    context.strokeRect(left + thick / 2, top + thick / 2, Math.max(wide - thick, 1), Math.max(high - thick, 1));
    const score = object.score === undefined ? "" : ` ${object.score.toFixed(2)}`;
    if (object.one) context.fillText(object.one.title + score, left + thick, Math.max(top - 2 * thick, 10));
  }
}

// --- what the user does -----------------------------------------------------------------------------

function take(file) {
  if (!file) return;
  state.file = file;
  predict();
}

async function save(kind) {
  const stem = (state.file.name || "image").replace(/\.[^.]*$/, "");
  let content;
  try {
    if (kind === "annotation") {
      content = new Blob([JSON.stringify(state.annotation)], { type: "application/json" });
    } else {
      content = await (await send(kind)).blob();
    }
  } catch (error) {
    say(error.message, true);
    return;
  }
  const link = element("a");
  link.href = URL.createObjectURL(content);
  link.download = kind === "annotation" ? `${state.file.name || "image"}.json` : `${stem}_${kind}.png`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

byId("choose").addEventListener("click", () => byId("file").click());
byId("file").addEventListener("change", (event) => {
  take(event.target.files[0]);
  event.target.value = ""; // the same file may be chosen again
});
for (const kind of ["dragenter", "dragover"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    byId("drop").classList.add("over");
  });
}
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) byId("drop").classList.remove("over");
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  byId("drop").classList.remove("over");
  const file = event.dataTransfer.files[0];
  if (file) take(file);
  else say("Only files can be dropped; save the image first, then drop the file.", true);
});
document.addEventListener("paste", (event) => take(event.clipboardData.files[0]));
for (const button of document.querySelectorAll("[data-view]")) {
  button.addEventListener("click", () => {
    state.view = button.dataset.view;
    for (const each of document.querySelectorAll("[data-view]")) {
      each.setAttribute("aria-pressed", String(each === button));
    }
    draw();
  });
}
for (const button of document.querySelectorAll("[data-save]")) {
  button.addEventListener("click", () => save(button.dataset.save));
}
byId("opacity").addEventListener("input", (event) => {
  byId("opacity-value").textContent = `${event.target.value} %`;
  draw();
});
byId("threshold").addEventListener("input", (event) => {
  byId("threshold-value").textContent = event.target.value === "0" ? "off" : (event.target.value / 100).toFixed(2);
});
byId("threshold").addEventListener("change", predict);
byId("mode").addEventListener("change", () => {
  showWindow();
  predict();
});
byId("window").addEventListener("change", predict);
start();
