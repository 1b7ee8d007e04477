import { describe, expect, it } from "vitest";
import { boxAround, freePlaces } from "./places.ts";

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

describe("the places of an impression that was given before", () => {
  const film = { columns: 1000, rows: 800 };
  const [left, right] = [
    { instance: "1", x: 300, y: 400 },
    { instance: "1", x: 700, y: 400 },
  ];
  const missed = (place: typeof left) => ({
    finding_id: null, code: "nodule", judgement: "missed" as const, instance: place.instance, place: boxAround(place, film),
  }); // prettier-ignore

  it("are offered until a finding has taken them", () => {
    expect(freePlaces([left, right], [])).toEqual([left, right]);
    expect(freePlaces([left, right], [missed(right)])).toEqual([left]);
  });
  it("are not taken by what the AI found there, nor by a finding on another image", () => {
    const confirmed = { finding_id: 7, code: "nodule", judgement: "confirmed" as const };
    expect(freePlaces([left], [confirmed, { ...missed(left), instance: "2" }])).toEqual([left]);
  });
});
