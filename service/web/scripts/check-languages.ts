/** `node scripts/check-languages.ts`: fails where a language lacks a key, a plural form or a value that another has. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { faults, type Words } from "./languages.ts";

const folder = join(import.meta.dirname, "../src/languages");
const read = (language: string): Words =>
  Object.fromEntries(
    readdirSync(join(folder, language))
      .filter((name) => name.endsWith(".json"))
      .map((name) => [name.slice(0, -5), JSON.parse(readFileSync(join(folder, language, name), "utf8"))]),
  );
const found = faults({ ko: read("ko"), en: read("en"), vi: read("vi"), ru: read("ru") });
for (const fault of found) console.error(fault);
if (found.length > 0) {
  console.error(`${found.length} faults in the languages`);
  process.exit(1);
}
