// Sends an image to the service and shows the prediction.

const PATH = "/v1/predictions";
const PROBLEM = "urn:sports-gateway:"; // what the types of the service's problems begin with
const FORMATS = "JPEG, PNG, WebP, GIF or BMP";
const ADVICE = {
  "invalid-request": `Send a ${FORMATS}, or an address that starts with https://.`,
  "unauthorized": "Enter an API key in the field below the address.",
  "request-too-large": "Send a smaller image.",
  "image-too-large": "Send a smaller image.",
  "unsupported-image": `Send a ${FORMATS}.`,
  "source-refused": "Check the address in a browser, or save the image and choose the file.",
  "source-failed": "Try again, or save the image and choose the file.",
  "source-timeout": "Try again, or save the image and choose the file.",
  "too-many-requests": "Wait a moment and try again.",
  "model-unavailable": "The model is starting or unreachable. Wait a moment and try again.",
  "model-timeout": "The model is busy. Wait a moment and try again.",
};

const element = (id) => document.getElementById(id);
const show = (id, shown) => { element(id).hidden = !shown; };
const percent = (value) => `${(100 * value).toFixed(value < 0.0995 ? 1 : 0)} %`;

let latest = 0;

async function classify(source, body, headers, image) {
  const number = ++latest;
  element("status").textContent = "Classifying …";
  element("result").setAttribute("aria-busy", "true");
  const started = performance.now();
  const key = element("key").value;
  const outcome = await post(body, key ? { ...headers, Authorization: `Bearer ${key}` } : headers);
  if (number !== latest) return; // another image has been sent since
  element("result").removeAttribute("aria-busy");
  show("problem", Boolean(outcome.problem));
  show("told", !outcome.problem);
  if (outcome.problem) showProblem(outcome.problem);
  else showPrediction(outcome.answer.predictions[0], source, image, performance.now() - started);
}

async function post(body, headers, query = "?explain=true") {
  try {
    const response = await fetch(PATH + query, { method: "POST", body, headers });
    const answer = await response.json();
    if (response.ok) return { answer };
    // Without a heat map, if the model has none.
    const unexplained = answer.type === `${PROBLEM}explanation-unsupported`;
    return query && unexplained ? post(body, headers, "") : { problem: answer };
  } catch {
    return { problem: { detail: "The service does not answer." } };
  }
}

function showProblem(problem) {
  const kind = (problem.type ?? "").replace(PROBLEM, "");
  element("status").textContent = "That did not work.";
  element("problem-text").textContent = problem.detail;
  element("problem-advice").textContent = ADVICE[kind] ?? "Try again in a moment.";
}

function showPrediction(prediction, source, image, took) {
  const known = prediction.known !== false;
  const verdict = known
    ? `This is ${prediction.label}, at ${percent(prediction.probability)}.`
    : `Probably none of the seven; of them, ${prediction.label} is closest.`;
  element("status").textContent = "Done.";
  element("words").textContent = verdict;
  element("source").textContent = source;
  const best = Object.entries(prediction.probabilities).sort((a, b) => b[1] - a[1]);
  element("bars").replaceChildren(...best.map(bar));
  const { fetch: fetching, decode, predict } = prediction.timings_ms;
  element("times").textContent =
    `${Math.round(took)} ms in all: fetching ${fetching}, decoding ${decode}, the model ${predict} ms.`;
  showImage(image, prediction.heatmap);
  addToHistory(source, image, verdict);
}

function bar([label, probability]) {
  const item = document.createElement("li");
  const name = document.createElement("label");
  const meter = document.createElement("meter");
  const number = document.createElement("output");
  name.textContent = label;
  meter.id = `bar-${label.replace(/\W/g, "-")}`;
  name.htmlFor = meter.id;
  meter.value = probability;
  number.textContent = percent(probability);
  number.htmlFor = meter.id;
  item.append(name, meter, number);
  return item;
}

// An image that the service fetched is not shown: the browser would have to fetch it, too.
function showImage(image, heatmap) {
  show("preview", Boolean(image));
  if (image) element("preview").src = image;
  show("heat-switch", Boolean(image && heatmap));
  if (heatmap) drawHeat(heatmap);
  showHeat();
}

function showHeat() {
  show("heat", element("show-heat").checked && !element("heat-switch").hidden);
}

function drawHeat(heatmap) {
  const canvas = element("heat");
  canvas.width = heatmap[0].length;
  canvas.height = heatmap.length;
  const context = canvas.getContext("2d");
  const pixels = context.createImageData(canvas.width, canvas.height);
  heatmap.flat().forEach((value, i) => pixels.data.set([255, 90, 0, 190 * value], 4 * i));
  context.putImageData(pixels, 0, 0);
}

function addToHistory(source, image, verdict) {
  const item = document.createElement("li");
  if (image) {
    const small = document.createElement("img");
    small.src = image;
    small.alt = "";
    item.append(small);
  }
  const text = document.createElement("span");
  text.textContent = `${source}: ${verdict}`;
  item.append(text);
  element("history").prepend(item);
  show("history-section", true);
}

function classifyFile(file) {
  const image = URL.createObjectURL(file);
  classify(file.name || "pasted image", file, { "Content-Type": file.type || "image/*" }, image);
}

element("file").addEventListener("change", (event) => {
  if (event.target.files[0]) classifyFile(event.target.files[0]);
});
element("by-url").addEventListener("submit", (event) => {
  event.preventDefault();
  const url = element("url").value.trim();
  classify(url, JSON.stringify({ url }), { "Content-Type": "application/json" }, null);
});
element("show-heat").addEventListener("change", showHeat);
for (const kind of ["dragenter", "dragover", "dragleave", "drop"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    element("drop").classList.toggle("over", kind === "dragenter" || kind === "dragover");
    if (kind === "drop") classifyTransferred(event.dataTransfer);
  });
}
document.addEventListener("paste", (event) => classifyTransferred(event.clipboardData));

function classifyTransferred(transfer) {
  const file = [...transfer.files].find((candidate) => candidate.type.startsWith("image/"));
  if (file) classifyFile(file);
}
