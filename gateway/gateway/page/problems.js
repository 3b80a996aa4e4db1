// What is said when something went wrong: what happened, and what helps.

const FORMATS = "JPEG, PNG, WebP, GIF or BMP";
const HEIC =
  "This looks like HEIC, the iPhone's own format. Export it as JPEG, or choose Most Compatible in Settings, Camera, Formats.";
const TRY_AGAIN = "Wait a moment and try again.";
const OTHER_WAY = "Try again, or save the image and choose the file.";
const ADVICE = {
  "invalid-request": `Send a ${FORMATS}, or an address that starts with https://.`,
  unauthorized: "Enter an API key below, and press Use.",
  "unsupported-image": `Send a ${FORMATS}.`,
  "source-refused": "Check the address in a browser, or save the image and choose the file.",
  "source-failed": OTHER_WAY,
  "source-timeout": OTHER_WAY,
  "too-many-requests": TRY_AGAIN,
  "model-unavailable": `The model is starting or unreachable. ${TRY_AGAIN}`,
  "model-timeout": `The model is busy. ${TRY_AGAIN}`,
};

const limits = document.body.dataset;
const million = (number) => (number / 1e6).toFixed(1).replace(".0", "");

export const kindOf = (problem) => (problem.type ?? "").split(/[:/]/).pop();

export const needsKey = (problem) => kindOf(problem) === "unauthorized";

// What programs are told about keys means nothing to people.
export function happened(problem, key) {
  if (needsKey(problem)) return key ? "This key is not accepted." : "This service asks for a key.";
  return problem.detail.replaceAll("`", "");
}

// Yellow: the same again may succeed. Red: something has to change first.
export function isPassing(problem) {
  return !problem.status || problem.status === 429 || problem.status >= 500;
}

export function advice(problem, source = "") {
  if (problem.advice) return problem.advice;
  if (problem.status === 413) {
    return `The limit is ${million(limits.imageBytes)} MB and ${million(limits.imagePixels)} megapixels for an image,`
      + ` and ${million(limits.bodyBytes)} MB for all that are sent at once.`;
  }
  if (problem.status === 415 && /\.hei[cf]$/i.test(source)) return HEIC;
  return ADVICE[kindOf(problem)] ?? TRY_AGAIN;
}

// A file that the service would refuse is not sent.
export function tooLarge(files) {
  const large = files.find((file) => file.size > limits.imageBytes);
  if (large) return { status: 413, detail: `${large.name} is ${million(large.size)} MB.` };
  const total = files.reduce((sum, file) => sum + file.size, 0);
  return total > limits.bodyBytes && { status: 413, detail: `Together, the images are ${million(total)} MB.` };
}

// An answer that is not the service's own.
export function foreign(status) {
  if (status === 413) return { status, detail: "A server in between refuses images of this size." };
  return {
    status,
    detail: `A server in between answered ${status}, not the service itself.`,
    advice: `The service may be restarting. ${TRY_AGAIN}`,
  };
}

export const NO_IMAGE = {
  status: 400, type: "/problems/invalid-request", detail: "That is neither an image nor the address of one.",
};
export const UNREACHABLE = {
  detail: "The service does not answer.",
  advice: "Check your connection, then try again.",
};
export const TIMED_OUT = {
  detail: `No answer came within ${limits.seconds} seconds.`,
  advice: "The service or your connection is slow. Try again, or send a smaller image.",
};
