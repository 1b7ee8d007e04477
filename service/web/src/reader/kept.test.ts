import { describe, expect, it } from "vitest";
import { forgetWords, keepWords, keptWords, wordsOf } from "./kept.ts";
import { type Content, newFinding } from "./report.ts";

const CONTENT: Content = {
  template: null, technique: { code: null, text: "lordotic view" }, comparison: null, findings_text: "a faint shadow",
  findings: [{ ...newFinding("nodule"), text: "spiculated" }, newFinding("effusion")], impression_text: " ",
  recommendations: [], recommendation_text: "CT", departments: [], critical_category: null, quality: null, language: "en",
}; // prettier-ignore

describe("kept words", () => {
  it("are those of one person and one case, until they are forgotten", () => {
    keepWords("kim", "a", CONTENT);
    expect(keptWords("kim", "a")).toBe(CONTENT);
    expect(keptWords("park", "a")).toBeUndefined();
    expect(keptWords("kim", "b")).toBeUndefined();
    forgetWords("kim", "a");
    expect(keptWords("kim", "a")).toBeUndefined();
  });

  it("are everything that was typed, in the order of the report", () => {
    expect(wordsOf(CONTENT)).toBe("lordotic view\n\nspiculated\n\na faint shadow\n\nCT");
  });
});
