// Swagger UI, with names for what it leaves without.

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
}).observe(viewer, { childList: true, subtree: true });

const withoutServers = { wrapComponents: { ServersContainer: () => () => null } };
SwaggerUIBundle({ url: "/openapi.json", dom_id: "#viewer", plugins: [withoutServers] });
