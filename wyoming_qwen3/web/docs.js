// Shows openapi.json. Relative URLs only: the server may be behind a path of somebody else's.

import { reference } from "./js/reference.js";

async function show() {
  const response = await fetch("openapi.json");
  if (!response.ok) throw new Error(`openapi.json was answered with ${response.status}`);
  document.getElementById("operations").replaceChildren(...reference(await response.json()));
}

show().catch((error) => {
  const message = document.createElement("p");
  message.setAttribute("role", "alert");
  message.textContent = `This page can't be shown: ${error.message}.`;
  document.getElementById("operations").replaceChildren(message);
});
