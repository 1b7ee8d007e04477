import { describe, expect, it } from "vitest";
import { lengthText, measure, type Spacing, UNKNOWN, usable } from "./spacing.ts";

const detector: Spacing = { kind: "detector", row_mm: 0.2, column_mm: 0.1 };
const names = { mm: "mm", mm_detector: "mm (검출기면)", px: "px" };
const said = (measured: ReturnType<typeof measure>, language = "ko") =>
  lengthText(measured, language, (unit) => names[unit]);

describe("a length", () => {
  it("is in pixels where nothing is known of the spacing", () => {
    expect(said(measure([0, 0], [30, 40], UNKNOWN))).toBe("50 px");
  });

  it("is in pixels where the sender wrote zeros or nonsense, whatever the kind says", () => {
    for (const row_mm of [0, -1, Number.NaN, null]) {
      expect(measure([0, 0], [3, 4], { kind: "calibrated", row_mm, column_mm: 0.2 })).toEqual({ value: 5, unit: "px" });
    }
  });

  it("says that it is at the detector, and takes rows and columns by their own spacing", () => {
    expect(said(measure([0, 0], [300, 0], detector))).toBe("30.0 mm (검출기면)");
    expect(said(measure([0, 0], [0, 300], detector))).toBe("60.0 mm (검출기면)");
  });

  it("is plain millimetres only when calibrated, with the language's decimal sign", () => {
    const calibrated: Spacing = { kind: "calibrated", row_mm: 0.7, column_mm: 0.7 };
    expect(said(measure([0, 0], [10, 0], calibrated), "ru")).toBe("7,0 mm");
    expect(said(measure([0, 0], [200, 0], calibrated))).toBe("140 mm");
  });

  it("never uses a spacing of kind none", () => {
    expect(usable({ kind: "none", row_mm: 0.2, column_mm: 0.2 })).toBeUndefined();
  });
});
