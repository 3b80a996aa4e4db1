// The image on the pitch, the answer on the board and in the lanes.

import { drawHeatmap } from "/page/heatmap.js";
import { advice, happened, isPassing, needsKey } from "/page/problems.js";
import { curl, python } from "/page/snippets.js";
import { introduction, percent, ranking, times, verdict } from "/page/words.js";

export const element = (id) => document.getElementById(id);
export const show = (id, shown) => { element(id).hidden = !shown; };

const NARROW = matchMedia("(max-width: 59.99rem)");

const MOST_LANES = 12;

// The labels of the model, which arrive before or after the first question.
export function introduce(labels) {
  if (!element("main").classList.contains("asked")) element("note").textContent = introduction(labels);
  const named = element("lanes").querySelector("b").textContent;
  if (labels.length <= MOST_LANES && !named) setLanes(labels);
}

export function showImage(source, image) {
  element("main").classList.add("asked");
  show("caption", true);
  show("invitation", !image);
  show("shown", Boolean(image));
  if (image && element("preview").src !== image) element("preview").src = image;
  element("source").textContent = source;
  element("source").title = source;
}

export function showWaiting(waiting) {
  show("wait", waiting);
  element("answer").setAttribute("aria-busy", waiting);
  element("field").setAttribute("aria-busy", waiting);
  if (waiting) element("status").textContent = "Looking …";
  if (waiting && NARROW.matches) element("field").scrollIntoView();
}

export function showPrediction({ source, image, prediction, took, name }, key) {
  const { label, score, note } = verdict(prediction);
  showImage(source, image);
  showHeatmap(image && prediction.heatmap);
  setBoard("prediction");
  element("answer").classList.toggle("unknown", !score);
  element("label").textContent = label;
  element("score").textContent = score;
  element("note").textContent = note;
  fillLanes(prediction);
  const squeezed = image && !name ? ". Shown as the model saw it." : "";
  element("times").textContent = times(prediction, took) + squeezed;
  const asked = { url: name ? null : source, file: name };
  element("curl").textContent = curl(asked, key);
  element("python").textContent = python(asked, key);
  element("status").textContent = "Answered.";
}

export function showProblem(problem, source) {
  showHeatmap(null);
  setBoard("problem");
  element("answer").classList.remove("unknown");
  element("card").classList.toggle("yellow", isPassing(problem));
  element("problem-text").textContent = happened(problem, element("key").value);
  element("problem-advice").replaceChildren(advice(problem, source), ...explanation(problem));
  show("again", isPassing(problem));
  element("status").textContent = "";
  fillLanes(null);
  if (!needsKey(problem)) return;
  show("key-section", true);
  element("key-section").open = true;
}

// The page of the service that explains the problem.
function explanation(problem) {
  if (!problem.type?.startsWith("/problems/")) return [];
  const link = document.createElement("a");
  link.href = problem.type;
  link.textContent = "More about this";
  return [" ", link, "."];
}

// The verdict is what one came for: it is brought into view and read out.
export function present(id = "verdict") {
  const isVerdict = id === "verdict";
  const section = element(NARROW.matches && isVerdict ? "field" : id);
  section.scrollIntoView({ block: NARROW.matches || !isVerdict ? "start" : "nearest" });
  element(id).focus({ preventScroll: true });
}

function setBoard(kind) {
  show("verdict", kind === "prediction");
  show("note", kind === "prediction");
  show("told", kind === "prediction");
  show("problem", kind === "problem");
}

// Each label keeps its lane; of very many, only the best have one.
function fillLanes(prediction) {
  const lanes = element("lanes");
  lanes.classList.toggle("empty", !prediction);
  const values = prediction?.probabilities ?? {};
  const names = Object.keys(values);
  if (names.length > MOST_LANES) setLanes(ranking(prediction).slice(0, MOST_LANES).map(([label]) => label));
  else if (prediction) setLanes(names);
  const best = prediction && ranking(prediction)[0][0];
  for (const item of lanes.children) {
    const label = item.querySelector("b").textContent;
    item.classList.toggle("first", label === best);
    item.querySelector("i").style.width = `${100 * (values[label] ?? 0)}%`;
    item.querySelector("output").textContent = prediction ? percent(values[label]) : "–";
  }
}

function setLanes(labels) {
  const lanes = element("lanes");
  const shown = [...lanes.querySelectorAll("b")].map((name) => name.textContent);
  if (labels.join() !== shown.join()) lanes.replaceChildren(...labels.map(lane));
}

function lane(label) {
  const item = document.createElement("li");
  const bar = document.createElement("span");
  bar.className = "bar";
  bar.append(document.createElement("i"));
  const name = document.createElement("b");
  name.textContent = label;
  item.append(name, bar, document.createElement("output"));
  return item;
}

function showHeatmap(heatmap) {
  show("heat-switch", Boolean(heatmap));
  if (heatmap) drawHeatmap(element("heat"), heatmap);
  switchHeat();
}

export function switchHeat() {
  const shown = element("show-heat").checked && !element("heat-switch").hidden;
  show("heat", shown);
  show("legend", shown);
  element("preview").classList.toggle("grey", shown);
}
