// Swagger UI, with what assistive technology lacks in it.

const viewer = document.getElementById("viewer");

function name(selector, words) {
  for (const element of viewer.querySelectorAll(selector)) {
    if (!element.ariaLabel) element.ariaLabel = words(element);
  }
}

new MutationObserver(() => {
  name("select", () => "Choice");
  name("button:empty, .copy-to-clipboard button", () => "Copy");
  name("[role=region]", (element) => element.id.replaceAll("_", " "));
  for (const link of viewer.querySelectorAll("a:not([href], [role])")) link.role = "none"; // leads nowhere
}).observe(viewer, { childList: true, subtree: true });

const withoutServers = { wrapComponents: { ServersContainer: () => () => null } };
SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#viewer",
  defaultModelsExpandDepth: 0,
  plugins: [withoutServers],
});
