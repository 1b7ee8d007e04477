import { describe, expect, it } from "vitest";
import { type DicomJson, numbers, TAG, text } from "./dicomJson.ts";
import { sanitise } from "./sanitise.ts";
import { type Spacing, UNKNOWN } from "./spacing.ts";

const ds = (...values: unknown[]) => ({ vr: "DS", Value: values });
const cs = (value: string) => ({ vr: "CS", Value: [value] });
const film = (more: DicomJson = {}): DicomJson => ({ [TAG.sopInstanceUid]: { vr: "UI", Value: ["1.2.3"] }, ...more });
const calibrated: Spacing = { kind: "calibrated", row_mm: 0.3, column_mm: 0.4 };

describe("the sanitiser", () => {
  it("drops a Pixel Spacing of zeros, which would show a black image", () => {
    expect(sanitise(film({ [TAG.pixelSpacing]: ds(0, 0) }), UNKNOWN)[TAG.pixelSpacing]).toBeUndefined();
  });

  it("takes the service's word on spacing, not the file's", () => {
    const clean = sanitise(film({ [TAG.pixelSpacing]: ds(9, 9), [TAG.imagerPixelSpacing]: ds(8, 8) }), calibrated);
    expect(numbers(clean, TAG.pixelSpacing, 2)).toEqual([0.3, 0.4]);
  });

  it("gives a projection a plane of its own, so that lines stay on their film", () => {
    const clean = sanitise(film(), UNKNOWN);
    expect(numbers(clean, TAG.imageOrientation, 6)).toEqual([1, 0, 0, 0, 1, 0]);
    expect(numbers(clean, TAG.imagePosition, 3)).toEqual([0, 0, 0]);
    expect(text(clean, TAG.frameOfReference)).toBe("1.2.3");
  });

  it("keeps the place of a slice, and replaces one whose axes are not square", () => {
    const slice = film({ [TAG.imageOrientation]: ds(0, 1, 0, 0, 0, -1), [TAG.imagePosition]: ds(1, 2, 3) });
    expect(numbers(sanitise(slice, calibrated), TAG.imagePosition, 3)).toEqual([1, 2, 3]);
    const bent = { ...slice, [TAG.imageOrientation]: ds(1, 0, 0, 1, 0, 0) };
    expect(numbers(sanitise(bent, calibrated), TAG.imageOrientation, 6)).toEqual([1, 0, 0, 0, 1, 0]);
  });

  it("inverts once when photometric interpretation or LUT shape says so", () => {
    const shape = { [TAG.presentationLutShape]: cs("INVERSE") };
    expect(text(sanitise(film({ ...shape, [TAG.photometric]: cs("MONOCHROME2") }), UNKNOWN), TAG.photometric)).toBe(
      "MONOCHROME1",
    );
    expect(text(sanitise(film({ ...shape, [TAG.photometric]: cs("MONOCHROME1") }), UNKNOWN), TAG.photometric)).toBe(
      "MONOCHROME1",
    );
    expect(text(sanitise(film({ [TAG.photometric]: cs("MONOCHROME2") }), UNKNOWN), TAG.photometric)).toBe(
      "MONOCHROME2",
    );
  });

  it("keeps the first window, and drops one that cannot be drawn", () => {
    const two = sanitise(film({ [TAG.windowCenter]: ds(40, 300), [TAG.windowWidth]: ds(400, 1500) }), UNKNOWN);
    expect(numbers(two, TAG.windowCenter)).toEqual([40]);
    for (const width of [0, -5, "wide"]) {
      const none = sanitise(film({ [TAG.windowCenter]: ds(40), [TAG.windowWidth]: ds(width) }), UNKNOWN);
      expect(none[TAG.windowWidth]).toBeUndefined();
    }
  });

  it("takes the range of a VOI LUT where there is no window; an entry count of 0 means 65536", () => {
    const lut = { vr: "SQ", Value: [{ [TAG.lutDescriptor]: { vr: "US", Value: [0, 100, 12] } }] };
    const clean = sanitise(film({ [TAG.voiLutSequence]: lut }), UNKNOWN);
    expect(numbers(clean, TAG.windowCenter)).toEqual([32868]);
    expect(clean[TAG.voiLutSequence]).toBeUndefined();
  });

  it("drops a rescale slope of 0, and never changes what it was given", () => {
    const given = film({ [TAG.rescaleSlope]: ds(0), [TAG.rescaleIntercept]: ds(-1024), [TAG.largestValue]: ds(9) });
    const before = structuredClone(given);
    const clean = sanitise(given, UNKNOWN);
    expect(clean[TAG.rescaleSlope]).toBeUndefined();
    expect(numbers(clean, TAG.rescaleIntercept)).toEqual([-1024]);
    expect(clean[TAG.largestValue]).toBeUndefined();
    expect(given).toEqual(before);
  });
});
