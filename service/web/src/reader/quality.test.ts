import { expect, it } from "vitest";
import { graded, nextGraded, withReason } from "./quality.ts";

it("goes through the grades and begins again", () => {
  const grades = [null, "good", "limited", "insufficient"] as const;
  const next = grades.map((grade) => nextGraded(grade && { grade, reasons: [] }).grade);
  expect(next).toEqual(["good", "limited", "insufficient", "good"]);
});

it("keeps the reasons of a film that is not good, and only of such a one", () => {
  const rotated = withReason({ grade: "limited", reasons: [] }, "rotation");
  expect(rotated.reasons).toEqual(["rotation"]);
  expect(graded(rotated, "insufficient").reasons).toEqual(["rotation"]);
  expect(graded(rotated, "good").reasons).toEqual([]);
  expect(withReason(rotated, "rotation").reasons).toEqual([]);
});
