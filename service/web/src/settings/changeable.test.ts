import { describe, expect, it } from "vitest";
import { type Bound, BOUND, obstacle, withKey } from "./changeable.ts";

const at = (id: string) => BOUND.find((one) => one.id === id) as Bound;

describe("a key that is changed", () => {
  it("is refused where another action of the same moment has it", () => {
    expect(obstacle(at("reading.confirm"), "x", {})).toBe(at("reading.reject"));
    expect(obstacle(at("reading.invert"), "X", {})).toBe(at("reading.reject"));
    expect(obstacle(at("worklist.next"), "Enter", {})).toBe(at("worklist.open"));
    expect(obstacle(at("worklist.next"), "ArrowDown", {})).toBe(at("worklist.down"));
  });

  it("is free where the other one holds at another moment or on another page", () => {
    expect(obstacle(at("reading.add_missed"), "u", {})).toBeNull();
    expect(obstacle(at("reading.confirm"), "/", {})).toBeNull();
  });

  it("follows what the person set before", () => {
    const own = withKey(at("reading.reject"), "g", {});
    expect(obstacle(at("reading.confirm"), "x", own)).toBeNull();
    expect(obstacle(at("reading.confirm"), "g", own)).toBe(at("reading.reject"));
    expect(withKey(at("reading.reject"), "x", own)).toEqual({});
  });

  it("never gives the digits of the first impression, Escape or the help to anything else", () => {
    for (const key of ["1", "2", "3", "Escape", "?"]) expect(obstacle(at("reading.invert"), key, {})).toBe("reserved");
    expect(obstacle(at("reading.impression_normal"), "2", {})).toBe(at("reading.impression_abnormal"));
  });

  it("was never shared by default", () => {
    const shared = BOUND.flatMap((one) => one.keys.filter((key) => key !== "Escape").map((key) => [one, key] as const))
      .filter(([one, key]) => typeof obstacle(one, key, {}) === "object" && obstacle(one, key, {}) !== null);
    expect(shared).toEqual([]);
  });
});
