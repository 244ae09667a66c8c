// What is said of a checkpoint, and which ones this server uses.

import { h } from "./dom.js";
import { rough } from "./format.js";
import { t } from "./text.js";

const ORDER = ["custom_voice", "base", "voice_design"];

/** Return the name of the text on what a checkpoint is for. */
export function purposeOf({ variant, size }) {
  return variant === "custom_voice" && size === "1.7B" ? "models.custom_voice.styled" : `models.${variant}.does`;
}

/** Whether the server speaks with a checkpoint; the one for voice design has only one size. */
export function inUse({ variant, size }, machine) {
  return variant === "voice_design" || size === machine.size;
}

/** Sort checkpoints: those in use first, the most important one before all. */
export function sorted(models, machine) {
  const place = (model) => ORDER.indexOf(model.variant) + (inUse(model, machine) ? 0 : ORDER.length);
  return [...models].sort((one, other) => place(one) - place(other));
}

/** Tell how fast this machine speaks, and what to do if that is too slow; nothing while it is not known. */
export function speedOf(models, machine) {
  const known = models.filter(({ speed }) => speed !== null);
  const main = known.find((model) => inUse(model, machine)) ?? known[0];
  if (!main) return [];
  const { size, weights, speed } = main;
  const told = h("p", {}, t("models.speaks", { size, weights, times: rough(speed) }));
  return speed >= 1 ? [told] : [told, h("p", { class: "hint" }, t("models.slow"))];
}
