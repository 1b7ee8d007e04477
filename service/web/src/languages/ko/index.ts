/** The words of one language, by area. */
const files = import.meta.glob<Record<string, string>>("./*.json", { eager: true, import: "default" });

export const words = Object.fromEntries(
  Object.entries(files).map(([path, texts]) => [path.slice(2, -".json".length), texts]),
);
