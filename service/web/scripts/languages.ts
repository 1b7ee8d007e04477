/** Compares the languages: the same keys, every plural form that a language has, the same values filled in. */

export type Words = Record<string, Record<string, string>>;

const FORMS = ["zero", "one", "two", "few", "many", "other"];

/** Returns the key without its plural form, and the form: `images_few` → `images`, `few`. */
function split(key: string): [string, string | null] {
  const at = key.lastIndexOf("_");
  const form = key.slice(at + 1);
  return at > 0 && FORMS.includes(form) ? [key.slice(0, at), form] : [key, null];
}

function values(text: string): string {
  return [...text.matchAll(/\{\{\s*(\w+)[^}]*\}\}/g)].map((match) => match[1]).sort().join(",");
}

interface Entry {
  forms: Set<string>;
  texts: string[];
}

function entries(texts: Record<string, string>): Map<string, Entry> {
  const found = new Map<string, Entry>();
  for (const [key, text] of Object.entries(texts)) {
    const [base, form] = split(key);
    const entry = found.get(base) ?? { forms: new Set(), texts: [] };
    if (form) entry.forms.add(form);
    entry.texts.push(text);
    found.set(base, entry);
  }
  return found;
}

/** Returns one sentence for each thing that is wrong. */
export function faults(languages: Record<string, Words>): string[] {
  const found: string[] = [];
  const areas = new Set(Object.values(languages).flatMap((words) => Object.keys(words)));
  for (const area of areas) {
    const all = new Map(Object.entries(languages).map(([code, words]) => [code, entries(words[area] ?? {})]));
    const keys = new Set([...all.values()].flatMap((texts) => [...texts.keys()]));
    for (const key of keys) found.push(...keyFaults(`${area}:${key}`, key, all));
  }
  return found;
}

function keyFaults(name: string, key: string, all: Map<string, Map<string, Entry>>): string[] {
  const found: string[] = [];
  const counted = [...all.values()].some((texts) => (texts.get(key)?.forms.size ?? 0) > 0);
  const filled = new Set<string>();
  for (const [code, texts] of all) {
    const entry = texts.get(key);
    if (!entry) {
      found.push(`${code} lacks ${name}`);
      continue;
    }
    if (entry.texts.some((text) => typeof text !== "string" || text.trim() === "")) found.push(`${code} ${name} is empty`);
    const wanted = counted ? new Intl.PluralRules(code).resolvedOptions().pluralCategories : [];
    for (const form of wanted) if (!entry.forms.has(form)) found.push(`${code} lacks ${name}_${form}`);
    for (const form of entry.forms) if (!wanted.includes(form as Intl.LDMLPluralRule)) found.push(`${code} has no form ${name}_${form}`);
    // A form for one may leave the number out ("one image"), so what a key fills in is what any of its forms does.
    filled.add([...new Set(entry.texts.flatMap((text) => values(text).split(",")))].filter(Boolean).sort().join(","));
  }
  if (filled.size > 1) found.push(`${name} fills in different values: ${[...filled].join(" | ")}`);
  return found;
}

const ASKS = /useTranslation\(\s*\[?([^\])]*)/g;
const USES = /\bt\(\s*(?:"([^"\n]+)"|`([^`\n]+)`|[^()"`]*\?\s*"([^"\n]+)"\s*:\s*"([^"\n]+)")/g;

/** Returns a sentence for each key that a source file asks for and no language has. */
export function missingKeys(source: string, words: Words): string[] {
  const asked = [...source.matchAll(ASKS)].map(({ index, 1: list }) => ({
    from: index,
    areas: [...(list ?? "").matchAll(/"(\w+)"/g)].map((one) => one[1] as string),
  }));
  const found: string[] = [];
  for (const use of source.matchAll(USES)) {
    const nearest = asked.findLast((one) => one.from < use.index) ?? asked[0];
    const areas = nearest && nearest.areas.length > 0 ? nearest.areas : ["common"];
    for (const key of use.slice(1)) {
      if (key && !areas.some((area) => isKnown(key, area, words))) found.push(`no language has ${key} (${areas.join(", ")})`);
    }
  }
  return found;
}

function isKnown(asked: string, area: string, words: Words): boolean {
  const [named, key] = asked.includes(":") ? (asked.split(":", 2) as [string, string]) : [area, asked];
  const known = Object.keys(words[named] ?? {});
  const at = key.indexOf("${");
  if (at >= 0) return at === 0 || known.some((one) => one.startsWith(key.slice(0, at)));
  return known.some((one) => one === key || split(one)[0] === key);
}
