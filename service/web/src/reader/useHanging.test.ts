import { describe, expect, it } from "vitest";
import type { Stack } from "../viewer/hanging.ts";
import type { Prior } from "./types.ts";
import { freshest, hangable } from "./useHanging.ts";

const stack = (uid: string) => ({ id: uid, frames: [{ instance: { sop_instance_uid: uid }, frame: 1 }] }) as Stack;

describe("a prior", () => {
  const prior = (public_id: string, more: Partial<Prior> = {}) =>
    ({ public_id, days_before: 10, same_view: true, ...more }) as Prior;
  it("whose identity is in doubt never hangs by itself, however well it fits", () => {
    const priors = [prior("doubt", { identity_doubt: true, days_before: 1 }), prior("sure", { same_view: false })];
    expect(hangable(priors).map(({ public_id }) => public_id)).toEqual(["sure"]);
  });
});

describe("images that come while a case is read", () => {
  it("are found among those that hang", () => {
    expect(freshest(new Set(["1"]), [stack("1"), stack("2")])).toBe(1);
    expect(freshest(new Set(["1", "2"]), [stack("1"), stack("2")])).toBe(-1);
  });
});
