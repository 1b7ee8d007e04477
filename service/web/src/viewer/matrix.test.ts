import { describe, expect, it } from "vitest";
import { applied, inverted, type Matrix, overlayMatrix, type Point, pose } from "./matrix.ts";
import { edgesOf, isRadiological } from "./orientation.ts";

const [width, height, zoom] = [200, 100, 2];

/** A camera that turns clockwise by quarters, after mirroring, about the image's middle. */
function standing(quarters: number, isMirrored: boolean): Matrix {
  const at = ([x, y]: Point): Point => {
    const [dx, dy] = [(isMirrored ? -1 : 1) * (x - width / 2), y - height / 2];
    const angle = (quarters * Math.PI) / 2;
    const [c, s] = [Math.cos(angle), Math.sin(angle)];
    return [500 + zoom * (c * dx - s * dy), 400 + zoom * (s * dx + c * dy)];
  };
  const corners = { topLeft: at([0, 0]), topRight: at([width, 0]), bottomLeft: at([0, height]) };
  return overlayMatrix(corners, width, height) as Matrix;
}

const cases = [0, 1, 2, 3].flatMap((quarters) => [false, true].map((isMirrored) => ({ quarters, isMirrored })));

describe.each(cases)("a film turned by $quarters quarters, mirrored: $isMirrored", ({ quarters, isMirrored }) => {
  const matrix = standing(quarters, isMirrored);

  it("leads from a place to the screen and back", () => {
    const back = inverted(matrix, applied(matrix, [37, 81]));
    expect(back?.[0]).toBeCloseTo(37);
    expect(back?.[1]).toBeCloseTo(81);
  });

  it("tells how it stands", () => {
    expect(pose(matrix)).toMatchObject({ isMirrored, quarterTurns: quarters });
    expect(pose(matrix).zoom).toBeCloseTo(zoom);
  });

  it("has the letter of the patient's left where the stored right edge went", () => {
    const [x, y] = applied(matrix, [width, height / 2]);
    const edges = edgesOf({ row: "L", column: "F" }, pose(matrix));
    const side = Math.abs(x - 500) > Math.abs(y - 400) ? (x > 500 ? "right" : "left") : y > 400 ? "bottom" : "top";
    expect(edges[side]).toBe("L");
    const [u, v] = applied(matrix, [width / 2, height]);
    const foot = Math.abs(u - 500) > Math.abs(v - 400) ? (u > 500 ? "right" : "left") : v > 400 ? "bottom" : "top";
    expect(edges[foot]).toBe("F");
  });
});

describe("a film as it hangs", () => {
  it("has the patient's right on the viewer's left", () => {
    expect(isRadiological(edgesOf({ row: "L", column: "F" }, pose(standing(0, false))))).toBe(true);
    expect(isRadiological(edgesOf({ row: "L", column: "F" }, pose(standing(0, true))))).toBe(false);
  });

  it("has no place on the screen while the pane has no size", () => {
    const corners = { topLeft: [0, 0], topRight: [Number.NaN, 0], bottomLeft: [0, 0] } as const;
    expect(overlayMatrix(corners, 10, 10)).toBeUndefined();
  });
});
