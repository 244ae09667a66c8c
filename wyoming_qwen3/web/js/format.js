// Formats numbers and times for people, as their language writes them.

import { locale, t } from "./text.js";

const unit = (name, digits, display) =>
  new Intl.NumberFormat(locale, { style: "unit", unit: name, unitDisplay: display, maximumFractionDigits: digits });
const DATE = new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "short" });
const LANGUAGES = new Intl.DisplayNames([locale], { type: "language" });
const MINUTE = 60;
const HOUR = 3600;

/** Format as 1.2, or as 12 from ten on. */
export function short(value) {
  return new Intl.NumberFormat(locale, { maximumFractionDigits: value < 10 ? 1 : 0 }).format(value);
}

/** A number in two figures, such as 0.76 or 1.3. */
export function rough(value) {
  return new Intl.NumberFormat(locale, { maximumSignificantDigits: 2 }).format(value);
}

/** A factor, such as 1.05 ×. */
export function factor(value) {
  return `${new Intl.NumberFormat(locale, { minimumFractionDigits: 2, maximumFractionDigits: 2 }).format(value)} ×`;
}

export function seconds(value) {
  return unit("second", 1, "narrow").format(value);
}

export function milliseconds(value) {
  return value < 1000 ? unit("millisecond", 0, "narrow").format(value) : seconds(value / 1000);
}

export function percent(share) {
  return new Intl.NumberFormat(locale, { style: "percent" }).format(share);
}

export function bytes(value) {
  /** @type {[string, number][]} */
  const units = [["gigabyte", 1e9], ["megabyte", 1e6], ["kilobyte", 1e3]];
  const [name, size] = units.find(([, one]) => value >= one) ?? ["byte", 1];
  return unit(name, value / size < 10 ? 1 : 0, "short").format(value / size);
}

/** Format how long something still takes: by 10 seconds, minutes or hours. */
export function timeLeft(value) {
  if (value < 1.5 * MINUTE) return t("time.left", { time: unit("second", 0, "short").format(Math.max(10, 10 * Math.round(value / 10))) });
  if (value < 1.5 * HOUR) return t("time.left", { time: unit("minute", 0, "short").format(value / MINUTE) });
  return t("time.left", { time: unit("hour", 0, "short").format(value / HOUR) });
}

/** Format as 1:05. */
export function clock(value) {
  const whole = Math.round(value);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

/** Format as 1:05.2. */
export function exact(value) {
  const tenths = Math.round(10 * value);
  return `${Math.floor(tenths / 600)}:${String(Math.floor((tenths % 600) / 10)).padStart(2, "0")}.${tenths % 10}`;
}

export function moment(text) {
  return DATE.format(new Date(text));
}

/** Return the name of a language by its code. */
export function languageName(code) {
  return LANGUAGES.of(code);
}

/** Return a file name made from a text. */
export function fileName(text, extension) {
  const words = text.trim().toLowerCase().replace(/[^\p{L}\p{N}]+/gu, "-").slice(0, 40).replace(/^-+|-+$/g, "");
  return `${words || "speech"}.${extension}`;
}
