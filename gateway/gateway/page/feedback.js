// Tells the service what an image really shows, if it takes that.

import { element, show } from "/page/answer.js";
import { authorization, describeModel, requestOf } from "/page/service.js";

const PROMISE = element("feedback-status").textContent;
let subject = null;

// entry: the one that is shown; without its file or URL it cannot be sent again.
export async function offerFeedback(entry) {
  subject = entry;
  show("feedback", false);
  const model = await describeModel();
  if (subject !== entry || !model?.feedback || (entry.name && !entry.file)) return;
  const options = [...model.labels, "none"].filter((label) => label !== entry.prediction.label || entry.prediction.known === false);
  element("right").replaceChildren(...options.map((label) => new Option(label === "none" ? "none of these" : label, label)));
  element("feedback").open = false;
  show("feedback-form", true);
  element("feedback-status").textContent = PROMISE;
  show("feedback", true);
}

export async function sendFeedback() {
  const { source, file } = subject;
  const { body, headers } = requestOf([file ? { source, file } : { source, url: source }]);
  const status = element("feedback-status");
  status.textContent = "Sending …";
  try {
    const response = await fetch(`/v1/feedback?label=${encodeURIComponent(element("right").value)}`, {
      method: "POST", body, headers: { ...headers, ...authorization() },
    });
    show("feedback-form", response.status !== 202);
    if (response.status === 202) status.textContent = "Thank you. The next model can learn from it.";
    else if (response.status === 507) status.textContent = "Thank you, but there is no room for more.";
    else status.textContent = (await response.json()).detail;
  } catch {
    status.textContent = "The service does not answer. Try again in a moment.";
  }
}
