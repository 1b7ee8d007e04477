import { describe, expect, it } from "vitest";
import { presetsOf, rangeOf, windowOf, windowOfValues } from "./windows.ts";

describe("a window", () => {
  it("of CT is in Hounsfield units, whatever the sender's was", () => {
    const lung = presetsOf("CT").find(({ name }) => name === "lung");
    expect(lung && windowOf(lung, { center: 1, width: 2 }, false)).toEqual({ center: -600, width: 1500 });
  });

  it("of a radiograph follows the sender's, and looks at the same tissue in an inverted film", () => {
    const own = { center: 2000, width: 4000 };
    const lung = presetsOf("DX").find(({ name }) => name === "lung");
    if (!lung) throw new Error("no lung preset");
    const [plain, inverted] = [windowOf(lung, own, false), windowOf(lung, own, true)];
    expect(plain.center).toBeLessThan(2000);
    expect(plain.center + inverted.center).toBeCloseTo(4000);
  });

  it("without one leaves the outermost values out", () => {
    const values = Uint16Array.from({ length: 100_000 }, (_, index) => (index === 5 ? 65_535 : 1000 + (index % 101)));
    const { lower, upper } = rangeOf(windowOfValues(values));
    expect(lower).toBe(1000);
    expect(upper).toBeLessThanOrEqual(1100);
  });

  it("of a flat film has a width that can be drawn", () => {
    expect(windowOfValues(new Uint8Array(100)).width).toBe(1);
  });
});
