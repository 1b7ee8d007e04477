import { describe, expect, it } from "vitest";
import { beforeText, dateText, durationText } from "./dates.ts";

describe("dates", () => {
  it("are the study's own, in no time zone", () => {
    expect(dateText("20260101", "en")).toBe("Jan 1, 2026");
    expect(dateText("2026-01-01", "vi")).toContain("2026");
  });

  it("that are none stay as they came", () => {
    expect(dateText("unknown", "ko")).toBe("unknown");
    expect(dateText(null, "ko")).toBe("");
  });

  it("between studies are told in the largest unit", () => {
    expect(beforeText(800, "en")).toBe("2 years ago");
    expect(beforeText(90, "ru")).toBe("2 месяца назад");
    expect(beforeText(null, "en")).toBe("");
  });

  it("count down in two units", () => {
    expect(durationText(3 * 3600 + 5 * 60, "en")).toBe("3 hr 5 min");
    expect(durationText(20, "en")).toBe("0 min");
  });
});
