// Formats numbers and times for people.

import { language } from "./text.js";

const number = (digits) => new Intl.NumberFormat(language, { maximumFractionDigits: digits });

/** Format as 1.2, or as 12 from ten on. */
export function short(value) {
  return number(value < 10 ? 1 : 0).format(value);
}

export function seconds(value) {
  return `${number(1).format(value)} s`;
}

export function milliseconds(value) {
  return value < 1000 ? `${Math.round(value)} ms` : seconds(value / 1000);
}

export function bytes(value) {
  /** @type {[string, number][]} */
  const units = [["GB", 1e9], ["MB", 1e6], ["kB", 1e3]];
  const unit = units.find(([, size]) => value >= size);
  return unit ? `${short(value / unit[1])} ${unit[0]}` : `${value} B`;
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
  return new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" }).format(new Date(text));
}

/** Return a file name made from a text. */
export function fileName(text, extension) {
  const words = text.trim().toLowerCase().replace(/[^\p{L}\p{N}]+/gu, "-").slice(0, 40).replace(/^-+|-+$/g, "");
  return `${words || "speech"}.${extension}`;
}
