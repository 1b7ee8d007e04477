/** The four languages: one lazy file each, made of one JSON per area of the app. */
import i18next from "i18next";
import { initReactI18next } from "react-i18next";

export const LANGUAGES = { ko: "한국어", en: "English", vi: "Tiếng Việt", ru: "Русский" } as const;
export type Language = keyof typeof LANGUAGES;
export const LANGUAGE_CODES = Object.keys(LANGUAGES) as Language[];

type Words = Record<string, Record<string, string>>;

const loaders: Record<Language, () => Promise<{ words: Words }>> = {
  ko: () => import("../languages/ko/index.ts"),
  en: () => import("../languages/en/index.ts"),
  vi: () => import("../languages/vi/index.ts"),
  ru: () => import("../languages/ru/index.ts"),
};

const KEPT_AS = "pandok.language";

export function isLanguage(code: string | null | undefined): code is Language {
  return code != null && Object.hasOwn(LANGUAGES, code);
}

/** The language before anybody signed in: the one used last on this machine, else the browser's, else Korean. */
export function firstLanguage(kept: string | null, browser: readonly string[]): Language {
  if (isLanguage(kept)) return kept;
  return browser.map((tag) => tag.slice(0, 2)).find(isLanguage) ?? "ko";
}

export async function startWords(): Promise<void> {
  await i18next.use(initReactI18next).init({
    lng: "none",
    fallbackLng: false,
    resources: {},
    partialBundledLanguages: true,
    keySeparator: false,
    defaultNS: "common",
    interpolation: { escapeValue: false },
    react: { useSuspense: false },
  });
  await changeLanguage(firstLanguage(localStorage.getItem(KEPT_AS), navigator.languages));
}

export async function changeLanguage(language: Language): Promise<void> {
  if (i18next.language === language) return;
  const { words } = await loaders[language]();
  for (const [area, texts] of Object.entries(words)) i18next.addResourceBundle(language, area, texts, true, true);
  await i18next.changeLanguage(language);
  document.documentElement.lang = language;
  localStorage.setItem(KEPT_AS, language);
}

/** The language that the page speaks now. */
export function currentLanguage(): Language {
  return isLanguage(i18next.language) ? i18next.language : "ko";
}

/** Returns the words for a code that the service made, such as `worklist:reason.rotated`; the code itself when unknown. */
export function wordsFor(area: string, group: string, code: string): string {
  const key = `${area}:${group}.${code}`;
  return i18next.exists(key) ? (i18next.t as (key: string) => string)(key) : code;
}
