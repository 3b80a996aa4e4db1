// The API's description is there to be read; Swagger UI, to try it, comes when somebody asks for it.

const viewer = document.getElementById("viewer");
const reference = document.getElementById("reference");
const button = document.getElementById("try");
const status = document.getElementById("try-status");
let loaded = null;

for (const element of document.querySelectorAll(".origin")) element.textContent = location.origin;

function load(tag, attributes) {
  return new Promise((onload, onerror) => {
    document.head.append(Object.assign(document.createElement(tag), attributes, { onload, onerror }));
  });
}

async function start() {
  await Promise.all([
    load("link", { rel: "stylesheet", href: "/docs/swagger-ui.css" }),
    load("script", { src: "/docs/swagger-ui-bundle.js" }),
  ]);
  new MutationObserver(nameAll).observe(viewer, { childList: true, subtree: true });
  SwaggerUIBundle({
    url: "/openapi.json",
    dom_id: "#viewer",
    defaultModelsExpandDepth: 0,
    plugins: [{ wrapComponents: { ServersContainer: () => () => null } }], // there is one
  });
}

// What assistive technology lacks in Swagger UI.
function nameAll() {
  name("select", () => "Choice");
  name("button:empty, .copy-to-clipboard button", () => "Copy");
  name("[role=region]", (element) => element.id.replaceAll("_", " "));
  for (const link of viewer.querySelectorAll("a:not([href], [role])")) link.role = "none"; // leads nowhere
}

function name(selector, words) {
  for (const element of viewer.querySelectorAll(selector)) {
    if (!element.ariaLabel) element.ariaLabel = words(element);
  }
}

button.addEventListener("click", async () => {
  status.textContent = "Loading …";
  try {
    await (loaded ??= start());
  } catch {
    loaded = null;
    status.textContent = "The service does not answer. Try again in a moment.";
    return;
  }
  const trying = viewer.hidden;
  viewer.hidden = !trying;
  reference.hidden = trying;
  button.textContent = trying ? "Read it" : "Try it here";
  status.textContent = "";
});
