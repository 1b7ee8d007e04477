import { describe, expect, it } from "vitest";
import { KEYS, keysAt } from "./keys.ts";

describe.each(["before", "after"] as const)("the keys %s the first impression", (moment) => {
  it("each do one thing", () => {
    const used = keysAt(moment).flatMap(({ keys }) => keys);
    expect(used).toEqual([...new Set(used)]);
  });
});

describe("a key", () => {
  it("that stores the first impression never does anything else on the digits", () => {
    const digits = KEYS.filter(({ keys }) => keys.some((key) => ["1", "2", "3"].includes(key)));
    expect(digits.every(({ group }) => group === "impression")).toBe(true);
  });

  it("that stores the first impression is a digit alone: letters open the next case in the list", () => {
    const given = KEYS.filter(({ command }) => command.startsWith("impression_")).flatMap(({ keys }) => keys);
    expect(given).toEqual(["1", "2", "3"]);
  });

  it("exists once for each command", () => {
    const commands = KEYS.map(({ command }) => command);
    expect(commands).toEqual([...new Set(commands)]);
  });
});
