// The answers of this visit, as a grid; they survive a reload of the page in its tab.

import { element, show } from "/page/answer.js";
import { noneOf, percent } from "/page/words.js";

const STORE = "answers";
const MOST = 32;
const SIDE = 320; // pixels of a kept image

// Entries, newest first: { source, name, file, image, prediction or problem, took, asked, small }.
let entries = [];
let shown = null; // the entry that is open
let open = () => {};

export function restore(onOpen) {
  open = onOpen;
  try {
    entries = JSON.parse(sessionStorage.getItem(STORE)) ?? [];
  } catch { // somebody else's, or no storage
    entries = [];
  }
  for (const entry of entries) entry.image = entry.small;
  draw();
}

export async function add(added) {
  entries = [...added, ...entries].sort((a, b) => b.asked - a.asked).slice(0, MOST);
  draw();
  await new Promise((painted) => { requestAnimationFrame(() => setTimeout(painted)); });
  for (const entry of added) entry.small = await smaller(entry);
  draw();
  store();
}

export function mark(entry) {
  shown = entry;
  draw();
}

function draw() {
  element("grid").replaceChildren(...entries.map(card));
  show("results", entries.length > 0);
}

function card(entry) {
  const button = document.createElement("button");
  const image = document.createElement(entry.small ? "img" : "span");
  const text = document.createElement("span");
  const title = document.createElement("b");
  image.className = "blank";
  if (entry.small) Object.assign(image, { src: entry.small, alt: "" });
  title.textContent = titleOf(entry);
  text.append(title, entry.source.split("/").pop() || entry.source);
  button.type = "button";
  button.title = entry.source;
  button.setAttribute("aria-current", entry === shown);
  button.append(image, text);
  button.addEventListener("click", () => open(entry));
  const item = document.createElement("li");
  item.append(button);
  return item;
}

function titleOf({ prediction, problem }) {
  if (problem) return problem.title ?? "No answer";
  if (prediction.known === false) return noneOf(prediction);
  return `${prediction.label} ${percent(prediction.probability)}`;
}

// As many as the tab has room for.
function store() {
  const kept = entries.map(({ image, file, ...entry }) => entry);
  while (kept.length) {
    try {
      sessionStorage.setItem(STORE, JSON.stringify(kept));
      return;
    } catch {
      kept.pop();
    }
  }
}

// A small copy as a data URL, or null for what the browser cannot read.
async function smaller({ image, file }) {
  if (!file) return image;
  let bitmap;
  try {
    bitmap = await createImageBitmap(file); // beside the page, which a large image would hold up
  } catch {
    return null;
  }
  const scale = Math.min(1, SIDE / Math.max(bitmap.width, bitmap.height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(scale * bitmap.width));
  canvas.height = Math.max(1, Math.round(scale * bitmap.height));
  canvas.getContext("2d").drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  bitmap.close();
  return canvas.toDataURL("image/jpeg", 0.8);
}
