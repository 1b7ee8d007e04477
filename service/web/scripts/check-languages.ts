/** `node scripts/check-languages.ts`: fails where a language lacks a key, a plural form or a value that another has. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { faults, missingKeys, type Words } from "./languages.ts";

const source = join(import.meta.dirname, "../src");
const read = (language: string): Words =>
  Object.fromEntries(
    readdirSync(join(source, "languages", language))
      .filter((name) => name.endsWith(".json"))
      .map((name) => [name.slice(0, -5), JSON.parse(readFileSync(join(source, "languages", language, name), "utf8"))]),
  );
const english = read("en");
const found = faults({ ko: read("ko"), en: english, vi: read("vi"), ru: read("ru") });
for (const path of readdirSync(source, { recursive: true, encoding: "utf8" })) {
  if (!/\.tsx?$/.test(path) || path.endsWith(".d.ts") || path.includes(".test.")) continue;
  found.push(...missingKeys(readFileSync(join(source, path), "utf8"), english).map((fault) => `${path}: ${fault}`));
}
for (const fault of found) console.error(fault);
if (found.length > 0) {
  console.error(`${found.length} faults in the languages`);
  process.exit(1);
}
