import { describe, expect, it } from "vitest";
import type { Stack } from "../viewer/hanging.ts";
import { freshest } from "./useHanging.ts";

const stack = (uid: string) => ({ id: uid, frames: [{ instance: { sop_instance_uid: uid }, frame: 1 }] }) as Stack;

describe("images that come while a case is read", () => {
  it("are found among those that hang", () => {
    expect(freshest(new Set(["1"]), [stack("1"), stack("2")])).toBe(1);
    expect(freshest(new Set(["1", "2"]), [stack("1"), stack("2")])).toBe(-1);
  });
});
