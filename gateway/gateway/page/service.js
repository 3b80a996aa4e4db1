// Asks the service.

import { foreign, kindOf, TIMED_OUT, UNREACHABLE } from "/page/problems.js";

const PATH = "/v1/predictions";
const GRACE = 5; // seconds for the way there and back

let described = null; // what the service says about its model

// Returns the answer of /v1/model, or null.
export async function describeModel() {
  if (described) return described;
  try {
    const response = await fetch("/v1/model", { headers: authorization() });
    if (response.ok) described = await response.json();
  } catch { // asked again when it is needed
  }
  return described;
}

export function authorization() {
  const key = document.getElementById("key").value;
  return key ? { Authorization: `Bearer ${key}` } : {};
}

// Images are all files, or all URLs.
export function requestOf(images) {
  if (!images[0].file) {
    const urls = images.map((image) => image.url);
    const body = JSON.stringify(urls.length > 1 ? { urls } : { url: urls[0] });
    return { body, headers: { "Content-Type": "application/json" }, preview: true };
  }
  if (images.length === 1) {
    const [{ file }] = images;
    const type = file.type.startsWith("image/") ? file.type : "image/*";
    return { body: file, headers: { "Content-Type": type } };
  }
  const body = new FormData();
  images.forEach(({ file, source }) => body.append("image", file, source));
  return { body, headers: {} };
}

// Returns { answer }, { problem }, or { cancelled: true } after `cancel`, an AbortController, was used.
export async function ask(images, cancel, explain = described?.explain ?? true) {
  const { body, headers, preview = false } = requestOf(images);
  const timer = setTimeout(() => cancel.abort("time"), 1000 * (Number(document.body.dataset.seconds) + GRACE));
  try {
    const response = await fetch(`${PATH}?explain=${explain}&preview=${preview}`, {
      method: "POST", body, headers: { ...headers, ...authorization() }, signal: cancel.signal,
    });
    const answer = await response.json().catch(() => null);
    if (cancel.signal.aborted) throw cancel.signal.reason;
    if (response.ok && answer?.predictions) return { answer };
    if (!answer?.detail) return { problem: foreign(response.status) };
    // Without a heat map, if the model has none.
    const again = explain && kindOf(answer) === "explanation-unsupported";
    return again ? await ask(images, cancel, false) : { problem: answer };
  } catch {
    if (!cancel.signal.aborted) return { problem: UNREACHABLE };
    return cancel.signal.reason === "time" ? { problem: TIMED_OUT } : { cancelled: true };
  } finally {
    clearTimeout(timer);
  }
}
