// <api-tab>: the reference of the HTTP API.

import { get } from "./api.js";
import { Notice, h } from "./dom.js";
import { Loader } from "./loader.js";
import { reference } from "./reference.js";
import { t } from "./text.js";

class ApiTab extends HTMLElement {
  connectedCallback() {
    if (this.childElementCount) return;
    this.notice = new Notice();
    this.loader = new Loader(() => get("openapi.json"), (api) => this.#show(api), this.notice);
    this.operations = h("div", { class: "reference", lang: "en" });
    this.append(h("section", { class: "card" }, h("p", {}, t("api.about")),
      h("p", {}, h("a", { href: "docs" }, t("api.page")), " · ", h("a", { href: "openapi.json", translate: "no" }, "openapi.json")),
      this.notice.element), this.operations);
  }

  async shown() {
    if (!this.operations.childElementCount) await this.loader.show();
  }

  #show(api) {
    this.operations.replaceChildren(...reference(api));
    for (const link of this.operations.querySelectorAll('a[href^="#"]')) link.addEventListener("click", jump);
  }
}

/** Scroll to a link's target without changing the URL's fragment, which selects the tab. */
function jump(event) {
  event.preventDefault();
  document.getElementById(event.currentTarget.getAttribute("href").slice(1))?.scrollIntoView();
}

customElements.define("api-tab", ApiTab);
