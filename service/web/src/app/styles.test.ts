import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";

const source = join(import.meta.dirname, "..");
const kit = join(source, "../node_modules/@mantine/core/styles");

it("brings the style of every part of the kit that a page uses", () => {
  const styles = readFileSync(join(source, "app/styles.css"), "utf8");
  const used = new Set<string>();
  for (const path of readdirSync(source, { recursive: true, encoding: "utf8" }).filter((one) => one.endsWith(".tsx"))) {
    for (const [, names] of readFileSync(join(source, path), "utf8").matchAll(/import \{([^}]*)\} from "@mantine\/core"/g)) {
      for (const name of (names ?? "").split(",")) used.add(name.trim());
    }
  }
  const missing = [...used].filter(
    (name) => name && existsSync(join(kit, `${name}.layer.css`)) && !styles.includes(`/${name}.layer.css"`),
  );
  expect(used.size).toBeGreaterThan(10);
  expect(missing).toEqual([]);
});
