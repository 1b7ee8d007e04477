import { describe, expect, it } from "vitest";
import type { AiView, Finding } from "./types.ts";
import { UNREAD, unjudged, verdictsOf, type VerdictState, verdictStep } from "./verdicts.ts";

const finding = (finding_id: number, probability: number, more: Partial<Finding> = {}): Finding => ({
  finding_id, code: `code_${finding_id}`, names: { ko: "", en: "", vi: "", ru: "" }, presence: "present", probability,
  threshold: 0.5, operating_point: "balanced", experimental: false, calibrated: true, evidence: null,
  place: [1, 2, 3, 4], heat_map_url: null, ...more,
}); // prettier-ignore
const ai: AiView = {
  revision: 1,
  runs: [
    {
      run_id: 1, package: "p", version: "1", sha256: "", instance: "9.9", view: null, notes: [],
      shown_findings: [
        finding(1, 0.6),
        finding(2, 0.9),
        finding(3, 0.99, { experimental: true }),
        finding(4, 0.1, { presence: "absent" }),
      ],
    },
  ],
}; // prettier-ignore
const after = (impression: "normal" | "abnormal" | "cannot_tell"): VerdictState =>
  verdictStep(UNREAD, { kind: "impression", impression, ai, revision: 1 });

describe("verdicts", () => {
  it("are asked of what is present, tested findings first, then by probability", () => {
    expect(after("abnormal").shown.map(({ finding: { finding_id } }) => finding_id)).toEqual([2, 1, 3]);
  });

  it("move on to the next finding that waits", () => {
    const state = verdictStep(after("abnormal"), { kind: "judge", judgement: "confirmed" });
    expect(state.judged).toEqual({ 2: "confirmed" });
    expect(state.shown[state.selected]?.finding.finding_id).toBe(1);
  });

  it("are all rejections when a reader who said normal accepts, but none that was given changes", () => {
    const first = verdictStep(after("normal"), { kind: "judge", judgement: "uncertain" });
    const state = verdictStep(first, { kind: "accept" });
    expect(state.judged).toEqual({ 2: "uncertain", 1: "rejected", 3: "rejected" });
    expect(state.quality?.grade).toBe("good");
  });

  it("lose the impression when new images come, and keep what was judged", () => {
    const before = verdictStep(after("abnormal"), { kind: "judge", judgement: "confirmed" });
    const state = verdictStep(before, { kind: "renewed", impression: null, ai: null, revision: 2 });
    expect(state).toMatchObject({ impression: null, revision: null, judged: { 2: "confirmed" } });
    const again = verdictStep(state, { kind: "impression", impression: "normal", ai, revision: 2 });
    expect(verdictsOf(again)).toMatchObject([{ finding_id: 2, judgement: "confirmed" }]);
  });

  it("show an AI result that came after the impression, and an older answer takes no impression back", () => {
    const alone = verdictStep(UNREAD, { kind: "impression", impression: "normal", ai: null, revision: 1 });
    expect(alone.shown).toEqual([]);
    const state = verdictStep(alone, { kind: "renewed", impression: null, ai, revision: 1 });
    expect(state.impression).toBe("normal");
    expect(state.shown).toHaveLength(3);
  });

  it("keep the same finding selected when the case is asked for again", () => {
    const state = verdictStep(after("abnormal"), { kind: "select", index: 2 });
    expect(verdictStep(state, { kind: "renewed", impression: null, ai, revision: 1 }).selected).toBe(2);
  });

  it("are never given in bulk after another impression", () => {
    for (const impression of ["abnormal", "cannot_tell"] as const) {
      expect(unjudged(verdictStep(after(impression), { kind: "accept" }))).toHaveLength(3);
    }
  });

  it("do nothing before the first impression", () => {
    expect(verdictStep(UNREAD, { kind: "accept" })).toBe(UNREAD);
    expect(verdictStep(UNREAD, { kind: "judge", judgement: "confirmed" })).toBe(UNREAD);
  });

  it("keep the AI's place only where the reader agrees that something may be there", () => {
    let state = after("abnormal");
    for (const judgement of ["confirmed", "rejected", "uncertain"] as const)
      state = verdictStep(state, { kind: "judge", judgement });
    expect(verdictsOf(state).map(({ judgement, place }) => [judgement, place !== null])).toEqual([
      ["confirmed", true],
      ["rejected", false],
      ["uncertain", true],
    ]);
  });

  it("come back as they were stored", () => {
    const stored = verdictStep(after("abnormal"), { kind: "judge", judgement: "confirmed" });
    const verdicts = [...verdictsOf(stored), { finding_id: null, code: "effusion", judgement: "missed" as const }];
    const impression = { impression: "abnormal" as const, places: [] };
    const state = verdictStep(UNREAD, { kind: "opened", ai, impression, revision: 1, verdicts, quality: null });
    expect(verdictsOf(state)).toEqual(verdicts);
    expect(unjudged(state)).toHaveLength(2);
  });
});
