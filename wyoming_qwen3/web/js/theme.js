// Uses Home Assistant's light or dark mode inside Home Assistant, otherwise the system's.

/** Whether a CSS colour is dark; null if it is not a colour. */
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
    // The outer page has another origin, so its styles can't be read.
  }
}
