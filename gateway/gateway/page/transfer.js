// What is dropped or pasted: files, the addresses of images, or both for an image from another tab.

const isUrl = (text) => /^https?:\/\/\S+$/i.test(text);

// Returns images: [{ source, file }], or [{ source, url }].
export function imagesOf(transfer) {
  const files = [...transfer.files].filter((file) => file.type.startsWith("image/") || /\.hei[cf]$/i.test(file.name));
  if (files.length) return files.map(fromFile);
  const address = imageIn(transfer.getData("text/html")) ?? firstUrl(transfer);
  if (!address) return [];
  return [address.startsWith("data:") ? fromFile(fileOf(address)) : fromUrl(address)];
}

export const fromFile = (file) => ({ source: file.name || "pasted image", file });
export const fromUrl = (url) => ({ source: url, url });

// The image in a piece of a page; parsed, but neither shown nor loaded.
function imageIn(html) {
  const source = new DOMParser().parseFromString(html, "text/html").querySelector("img")?.getAttribute("src") ?? "";
  return isUrl(source) || /^data:image\/[\w+.-]+;base64,/.test(source) ? source : null;
}

function firstUrl(transfer) {
  const lines = `${transfer.getData("text/uri-list")}\n${transfer.getData("text/plain")}`.split("\n");
  return lines.map((line) => line.trim()).find(isUrl);
}

function fileOf(dataUrl) {
  const [head, encoded] = dataUrl.split(",");
  const bytes = Uint8Array.from(atob(encoded), (character) => character.charCodeAt(0));
  return new File([bytes], "dragged image", { type: head.slice(5, head.indexOf(";")) });
}
