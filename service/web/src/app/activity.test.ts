import { describe, expect, it, vi } from "vitest";
import { touchedSince, watchActivity } from "./activity.ts";

describe("a hand on the page", () => {
  it("is noticed whatever it does, and only then", () => {
    vi.useFakeTimers();
    const page = new EventTarget();
    watchActivity(page);
    for (const kind of ["pointermove", "wheel", "keydown"]) {
      vi.advanceTimersByTime(60_000);
      const before = Date.now();
      expect(touchedSince(before)).toBe(false);
      page.dispatchEvent(new Event(kind));
      expect(touchedSince(before)).toBe(true);
      expect(touchedSince(before + 1)).toBe(false);
    }
    vi.useRealTimers();
  });
});
