// The pages' words in four languages. Readers sit in Korea, so Korean is the default; a center's page follows the browser.
const LANGUAGES = { ko: "한국어", en: "English", vi: "Tiếng Việt", ru: "Русский" };
const KEPT_AS = "pandok.language";

let language = "ko";
let words = {};

export async function loadWords({ likeBrowser = false } = {}) {
  const kept = localStorage.getItem(KEPT_AS);
  if (kept in LANGUAGES) language = kept;
  else if (likeBrowser) language = navigator.languages.map((tag) => tag.slice(0, 2)).find((code) => code in LANGUAGES) ?? "en";
  words = await (await fetch("/assets/words.json")).json();
  translatePage();
}

export function currentLanguage() {
  return language;
}

export function has(key) {
  return key in words[language];
}

/** Returns the words for a key, with {name} filled in; a missing key shows itself. */
export function say(key, values = {}) {
  const text = words[language]?.[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
}

export function translatePage() {
  document.documentElement.lang = language;
  for (const element of document.querySelectorAll("[data-word]")) element.textContent = say(element.dataset.word);
}

/** Fills a <select> with the languages and calls back after a change. */
export function offerLanguages(select, changed) {
  for (const [code, name] of Object.entries(LANGUAGES)) {
    const option = document.createElement("option");
    option.value = code;
    option.lang = code;
    option.textContent = name;
    option.selected = code === language;
    select.append(option);
  }
  select.addEventListener("change", () => {
    language = select.value;
    localStorage.setItem(KEPT_AS, language);
    translatePage();
    changed();
  });
}
