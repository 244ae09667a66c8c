// Inside Home Assistant the page is as light or dark as Home Assistant is; elsewhere as the system is.

/** Whether a CSS colour is a dark one; null for what is none. */
function isDark(colour) {
  const probe = document.createElement("canvas").getContext("2d");
  probe.fillStyle = colour;
  const found = /^#(..)(..)(..)$/.exec(String(probe.fillStyle));
  if (!colour || !found) return null;
  const [red, green, blue] = found.slice(1).map((part) => parseInt(part, 16));
  return 0.299 * red + 0.587 * green + 0.114 * blue < 128;
}

export function followHomeAssistant() {
  if (window.parent === window) return;
  try {
    const outer = window.parent.document.documentElement;
    const follow = () => {
      const dark = isDark(getComputedStyle(outer).getPropertyValue("--primary-background-color").trim());
      document.documentElement.style.colorScheme = dark === null ? "" : dark ? "dark" : "light";
    };
    follow();
    new MutationObserver(follow).observe(outer, { attributes: true, attributeFilter: ["style", "class"] });
  } catch {
    // Framed by a page of another origin, which keeps its looks to itself.
  }
}
