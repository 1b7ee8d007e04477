import { describe, expect, it } from "vitest";
import { fitOf, isNear, viewOf } from "./link.ts";
import { type Matrix, pose } from "./matrix.ts";

const pane = { clientWidth: 800, clientHeight: 600 };
const film = (columns: number, rows: number, zoom: number, left: number, top: number) => {
  const matrix: Matrix = [zoom, 0, 0, zoom, left, top];
  return { matrix, pose: pose(matrix), columns, rows };
};

describe("linked films", () => {
  it("of different sizes share one view when both just fit", () => {
    const small = viewOf(film(300, 300, 2, 100, 0), pane);
    const large = viewOf(film(3000, 3000, 0.2, 100, 0), pane);
    expect(small).toEqual({ zoom: 1, middle: [0.5, 0.5] });
    expect(small && large && isNear(small, large)).toBe(true);
  });

  it("tell an enlarged and moved one apart", () => {
    const fits = viewOf(film(300, 300, 2, 100, 0), pane);
    const enlarged = viewOf(film(300, 300, 4, -200, -300), pane);
    expect(enlarged).toEqual({ zoom: 2, middle: [0.5, 0.5] });
    expect(fits && enlarged && isNear(fits, enlarged)).toBe(false);
  });

  it("that are turned fit by their other side", () => {
    const turned = { ...film(400, 200, 1, 0, 0), pose: { quarterTurns: 1 as const, isMirrored: false, zoom: 1 } };
    expect(fitOf(turned, pane)).toBe(1.5);
  });
});
