// Findings by their reviewed names, from the installed packages.
import { ask } from "./ask.js";
import { currentLanguage } from "./words.js";

let names = null;

export async function loadNames() {
  names ??= await ask("/api/worklist/names", { background: true });
}

export function findingName(finding) {
  const known = names?.find((name) => name.finding === finding.finding && name.package === finding.package);
  return known?.[currentLanguage()] ?? finding.finding.replaceAll("_", " ");
}
