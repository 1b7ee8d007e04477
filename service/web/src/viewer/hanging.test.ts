import { describe, expect, it } from "vitest";
import type { CaseInstance, CaseSeries } from "../reader/types.ts";
import { matching, stacksOf, viewOf } from "./hanging.ts";
import { wordsOf } from "./notices.ts";
import { UNKNOWN } from "./spacing.ts";

const image = (uid: string, view: CaseInstance["view"], frames = 1): CaseInstance => ({
  sop_instance_uid: uid, sop_class_uid: "1", transfer_syntax_uid: "1", instance_number: 1, frames, columns: 9, rows: 9,
  url: `/dicomweb/${uid}`, photometric: "MONOCHROME2", view, laterality: null, lossy: false, spacing: UNKNOWN, burned_in: null,
}); // prettier-ignore
const series = (modality: string, ...instances: CaseInstance[]): CaseSeries => ({
  series_instance_uid: instances.map((one) => one.sop_instance_uid).join("+"),
  modality,
  number: 1,
  description: null,
  body_part: null,
  instances,
});

describe("hanging", () => {
  it("puts the frontal film first and the lateral last, however they arrived", () => {
    const stacks = stacksOf([series("DX", image("1", "lateral"), image("2", "ap"), image("3", "pa"))]);
    expect(stacks.map(viewOf)).toEqual(["pa", "ap", "lateral"]);
  });

  it("makes one stack of a CT series and one of each multi-frame image", () => {
    const stacks = stacksOf([
      series("CT", image("1", "unknown"), image("2", "unknown")),
      series("XA", image("3", "unknown", 5)),
    ]);
    expect(stacks.map((stack) => stack.frames.length).sort()).toEqual([2, 5]);
  });

  it("hangs each stack of a volume by itself, in the service's order, and what stands apart beside it", () => {
    const one = series("MR", image("1", "unknown"), image("2", "unknown"), image("3", "unknown", 2));
    const gap = { code: "slices_missing", count: 2, first: 14, last: 17, degrees: null };
    const stacks = stacksOf([
      {
        ...one,
        stacks: [
          { why: null, slices: [[1, 1], [0, 1]], notices: [gap] },
          { why: "localizer", slices: [[2, 0]], notices: [] },
        ],
      },
    ]); // prettier-ignore
    expect(stacks.map(({ why, notices }) => [why, notices.length])).toEqual([[null, 1], ["localizer", 0]]); // prettier-ignore
    expect(stacks[0]?.frames.map(({ instance }) => instance.sop_instance_uid)).toEqual(["2", "1"]);
    expect(stacks[1]?.frames.map(({ instance, frame }) => [instance.sop_instance_uid, frame])).toEqual([["3", 1], ["3", 2]]);
    expect(new Set(stacks.map((stack) => stack.id)).size).toBe(2);
    expect(wordsOf(gap)).toBe("slices_missing");
    expect(wordsOf({ ...gap, code: "position_missing" })).toBe("order_unknown");
  });

  it("lays the same view of a prior beside a film", () => {
    const [current] = stacksOf([series("DX", image("1", "lateral"))]);
    const prior = stacksOf([series("DX", image("2", "pa"), image("3", "lateral"))]);
    if (!current) throw new Error("nothing hangs");
    expect(matching(current, prior)?.id).toBe("3");
    expect(matching(current, [])).toBeUndefined();
  });
});
