// All texts of the page in the user's language. lang/en.json is the source: every other file there has the same keys.

import { keep, recall } from "./drafts.js";

/** The languages of the page by code, each by its own name. */
export const LANGUAGES = {
  de: "Deutsch",
  en: "English",
  es: "Español",
  fr: "Français",
  it: "Italiano",
  pt: "Português",
  ru: "Русский",
  ja: "日本語",
  ko: "한국어",
  zh: "简体中文",
};

/** The language of Home Assistant around this page; null outside of it, or if its page can't be read. */
function homeAssistants() {
  try {
    return window.parent === window ? null : window.parent.document.documentElement.lang;
  } catch {
    return null;
  }
}

/** Tags such as "pt-BR", the preferred one first: the one chosen here, Home Assistant's, the browser's. */
const preferred = [recall("language"), homeAssistants(), ...navigator.languages].filter(Boolean);

/** Tag of the page's language with its region, for dates and numbers. */
export const locale = preferred.find((tag) => tag.split("-")[0] in LANGUAGES) ?? "en";

/** Code of the page's language. */
export const language = locale.split("-")[0];

/** Show the page in another language from now on; "" for Home Assistant's or the browser's. */
export function chooseLanguage(code) {
  keep("language", code || null);
  location.reload();
}

async function table(code) {
  const response = await fetch(new URL(`../lang/${code}.json`, import.meta.url));
  if (!response.ok) throw new Error(`lang/${code}.json was answered with status ${response.status}.`);
  return response.json();
}

const texts = await table(language).catch(() => table("en"));
const plurals = new Intl.PluralRules(locale);
const numbers = new Intl.NumberFormat(locale, { maximumFractionDigits: 1 });

document.documentElement.lang = language;

/**
 * Return a text with its placeholders in braces replaced; numbers are written as the language does. A text that depends
 * on a number has a form for each plural category, chosen by `count`.
 */
export function t(name, values = {}) {
  const text = texts[name];
  const form = typeof text === "object" ? text[plurals.select(values.count)] ?? text.other : text;
  return form.replace(/{(\w+)}/g, (_, key) => (typeof values[key] === "number" ? numbers.format(values[key]) : values[key]));
}

/** Return a list of texts. */
export function tList(name) {
  return texts[name];
}

/** Return a text, or `otherwise` for what the page has no words for, such as a newer server's effects. */
export function tOr(name, otherwise) {
  return name in texts ? t(name) : otherwise;
}
