import { describe, expect, it } from "vitest";
import { boxAround } from "./places.ts";

describe("the box around a place", () => {
  const film = { columns: 1000, rows: 800 };
  it("lies around it", () => {
    expect(boxAround({ instance: "1", x: 500, y: 400 }, film)).toEqual([440, 340, 560, 460]);
  });
  it("never leaves the image", () => {
    expect(boxAround({ instance: "1", x: 5, y: 3 }, film)).toEqual([0, 0, 65, 63]);
    expect(boxAround({ instance: "1", x: 990, y: 799 }, film)).toEqual([930, 739, 1000, 800]);
  });
});
