// The page: takes images in every way they come, and shows what the service says.

import { element, introduce, present, show, showImage, showPrediction, showProblem, showWaiting, switchHeat } from "/page/answer.js";
import { offerFeedback, sendFeedback } from "/page/feedback.js";
import { add, mark, restore } from "/page/history.js";
import { needsKey, NO_IMAGE, tooLarge } from "/page/problems.js";
import { ask, describeModel } from "/page/service.js";
import { fromFile, fromUrl, imagesOf } from "/page/transfer.js";

const MOST = 16; // images in one request

let latest = 0;
let cancel = null;
let last = []; // the images that were asked last

// An answer that another question has overtaken only goes into the history.
async function classify(all) {
  if (!all.length) return;
  show("surplus", all.length > MOST);
  const images = all.slice(0, MOST);
  const number = ++latest;
  const asked = Date.now();
  const files = images.flatMap(({ file }) => file ?? []);
  const shown = files[0] ? URL.createObjectURL(files[0]) : null;
  last = images;
  showImage(images.length > 1 ? `${images.length} images` : images[0].source, shown);
  switchHeat();
  const large = tooLarge(files);
  if (large) return fail(large);
  showWaiting(true);
  const started = performance.now();
  cancel = new AbortController();
  const outcome = await ask(images, cancel);
  const took = performance.now() - started;
  const current = number === latest;
  if (current) showWaiting(false);
  if (outcome.cancelled) return current && showStopped();
  if (outcome.problem) return current && fail(outcome.problem);
  const entries = outcome.answer.predictions.map((answer, i) => entryOf(images[i], answer, took, asked - i, i ? null : shown));
  if (current) openEntry(entries[0], entries.length > 1 ? "results-title" : "verdict");
  add(entries);
}

function entryOf({ source, file }, answer, took, asked, shown) {
  const { error, preview, ...prediction } = answer;
  const image = file ? shown ?? URL.createObjectURL(file) : preview ?? null;
  return { source, file, name: file ? source : null, image, took, asked, ...(error ? { problem: error } : { prediction }) };
}

function openEntry(entry, focused = "verdict") {
  mark(entry);
  if (entry.problem) {
    showImage(entry.source, entry.image);
    showProblem(entry.problem, entry.source);
    show("again", false);
  } else {
    showPrediction(entry, element("key").value);
    offerFeedback(entry);
  }
  // The grid may only be drawn after this.
  requestAnimationFrame(() => present(focused));
}

function fail(problem) {
  showWaiting(false);
  mark(null);
  showProblem(problem, last[0].source);
  present();
  if (needsKey(problem)) element("key").focus();
}

function showStopped() {
  showProblem({ detail: "Stopped.", advice: "Ask again, or choose another image." }, "");
}

function classifyWhatIsIn(transfer) {
  const images = imagesOf(transfer);
  if (images.length) classify(images);
  else showProblem(NO_IMAGE);
}

async function introduceModel() {
  const model = await describeModel();
  if (model) introduce(model.labels);
}

function chooseFrom(input) {
  input.addEventListener("change", () => {
    classify([...input.files].map(fromFile));
    input.value = ""; // so that the same file can be chosen again
  });
}

chooseFrom(element("file"));
chooseFrom(element("camera"));
element("by-url").addEventListener("submit", (event) => {
  event.preventDefault();
  classify([fromUrl(element("url").value.trim())]);
});
element("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  introduceModel();
  classify(last);
});
element("feedback-form").addEventListener("submit", (event) => {
  event.preventDefault();
  sendFeedback();
});
element("again").addEventListener("click", () => classify(last));
element("cancel").addEventListener("click", () => cancel.abort("cancelled"));
element("show-heat").addEventListener("change", switchHeat);
element("preview").addEventListener("load", ({ target }) => {
  element("shown").style.setProperty("--ratio", target.naturalWidth / target.naturalHeight);
});
element("preview").addEventListener("error", ({ target }) => { // not an image that browsers show
  target.removeAttribute("src");
  show("shown", false);
  show("invitation", true);
});

for (const kind of ["dragenter", "dragover", "dragleave", "drop"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    element("frame").classList.toggle("over", kind === "dragenter" || kind === "dragover");
    if (kind === "drop") classifyWhatIsIn(event.dataTransfer);
  });
}
document.addEventListener("paste", (event) => {
  const typing = event.target instanceof HTMLInputElement;
  if (!typing || event.clipboardData.files.length) classifyWhatIsIn(event.clipboardData);
});

const examples = [...document.querySelectorAll("[data-example]")];
for (const button of examples) {
  button.addEventListener("click", async () => {
    const name = `${button.dataset.example}.jpg`;
    const response = await fetch(`/page/examples/${name}`);
    classify([fromFile(new File([await response.blob()], name, { type: "image/jpeg" }))]);
  });
}
for (const button of document.querySelectorAll("[data-copies]")) {
  button.hidden = !navigator.clipboard; // only where the page is secure
  const words = button.textContent;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(element(button.dataset.copies).textContent);
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = words; }, 2000);
  });
}

restore(openEntry);
introduceModel();
// /?example=tennis answers that one at once.
const wanted = new URLSearchParams(location.search).get("example");
examples.find((button) => button.dataset.example === wanted)?.click();
