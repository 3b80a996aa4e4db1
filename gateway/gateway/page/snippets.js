// The same question as a command line and as a Python program.

const url = () => `${location.origin}/v1/predictions`;
// curl takes `;` and `,` for its own, except between quotation marks.
const formFile = (name) => `image=@${/[;,"\\]/.test(name) ? `"${name.replace(/["\\]/g, "\\$&")}"` : name}`;
const shell = (text) => `'${text.replaceAll("'", "'\\''")}'`;

export function curl({ url: source, file }, key) {
  const sent = source
    ? `-H 'Content-Type: application/json' \\\n  -d ${shell(JSON.stringify({ url: source }))}`
    : `-F ${shell(formFile(file))}`;
  return `curl ${url()} ${key ? '-H "Authorization: Bearer $KEY" ' : ""}${sent}`;
}

export function python({ url: source, file }, key) {
  const sent = source ? `json={"url": ${JSON.stringify(source)}}` : `files={"image": open(${JSON.stringify(file)}, "rb")}`;
  const headers = key ? ', headers={"Authorization": f"Bearer {KEY}"}' : "";
  return `import requests\n\nprint(requests.post("${url()}",\n    ${sent}${headers}).json())`;
}
