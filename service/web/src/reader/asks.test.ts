import { describe, expect, it } from "vitest";
import { allMissing } from "./asks.ts";

describe("allMissing", () => {
  it("names what the service refused for beside what the preview misses, each once", () => {
    const quality = { field: "quality", message_code: "required" };
    const verdict = { field: "findings", message_code: "verdict_needed" };
    expect(allMissing([quality], [quality, verdict])).toEqual([quality, verdict]);
    expect(allMissing([], [verdict])).toEqual([verdict]);
  });
});
