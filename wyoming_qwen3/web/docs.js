// Shows openapi.json. Uses only relative URLs, because a proxy may serve the page under any path.

import { reference } from "./js/reference.js";

async function show() {
  const response = await fetch("openapi.json");
  if (!response.ok) throw new Error(`the server answered with status ${response.status}`);
  document.getElementById("operations").replaceChildren(...reference(await response.json()));
}

show().catch((error) => {
  const message = document.createElement("p");
  message.setAttribute("role", "alert");
  message.textContent = `This page can't be shown: ${error.message}.`;
  document.getElementById("operations").replaceChildren(message);
});
