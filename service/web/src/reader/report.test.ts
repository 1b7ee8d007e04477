import { describe, expect, it } from "vitest";
import { type Content, isUnsaved, newFinding, NO_REPORT, type ReportState, reportStep } from "./report.ts";

const suggestion: Content = {
  template: "chest_normal", technique: { code: "chest_pa", text: "" }, comparison: null, findings: [], findings_text: "",
  impression_text: "", recommendations: ["none"], recommendation_text: "", departments: [], critical_category: null,
  quality: null, language: "ko",
}; // prettier-ignore
const opened = (draft: Content | null = null): ReportState =>
  reportStep(NO_REPORT, { kind: "opened", draft, suggestion });
const withNodule: Content = { ...suggestion, template: null, findings: [{ ...newFinding("nodule"), finding_id: 7 }] };

describe("the report", () => {
  it("follows the verdicts while nobody has written in it", () => {
    const state = reportStep(opened(), { kind: "suggested", suggestion: withNodule });
    expect(state.content).toEqual(withNodule);
    expect(isUnsaved(state)).toBe(false);
  });

  it("keeps the reader's words and details when verdicts change after that", () => {
    let state = reportStep(opened(), { kind: "suggested", suggestion: withNodule });
    state = reportStep(state, { kind: "write", field: "findings_text", text: "8 mm, 우상엽" });
    state = reportStep(state, { kind: "finding", index: 0, change: { size_mm: 8 } });
    state = reportStep(state, { kind: "add", finding: newFinding("effusion") });
    state = reportStep(state, {
      kind: "suggested",
      suggestion: { ...withNodule, findings: [{ ...newFinding("nodule"), finding_id: 7, presence: "uncertain" }] },
    });
    expect(state.content?.findings_text).toBe("8 mm, 우상엽");
    expect(state.content?.findings).toMatchObject([
      { code: "nodule", size_mm: 8, presence: "uncertain" },
      { code: "effusion", finding_id: null },
    ]);
  });

  it("drops a finding whose verdict no longer holds", () => {
    let state = reportStep(opened(), { kind: "suggested", suggestion: withNodule });
    state = reportStep(state, { kind: "write", field: "impression_text", text: "x" });
    state = reportStep(state, { kind: "suggested", suggestion });
    expect(state.content?.findings).toEqual([]);
  });

  it("keeps side, size and the words on a finding when a later verdict or the quality changes", () => {
    let state = reportStep(opened(), { kind: "suggested", suggestion: withNodule });
    state = reportStep(state, { kind: "finding", index: 0, change: { side: "right", size_mm: 8, text: "spiculated" } });
    state = reportStep(state, {
      kind: "suggested",
      suggestion: {
        ...withNodule, findings: [...withNodule.findings, newFinding("effusion")],
        quality: { grade: "limited", reasons: [] },
      },
    }); // prettier-ignore
    expect(state.content?.findings).toMatchObject([
      { code: "nodule", finding_id: 7, side: "right", size_mm: 8, text: "spiculated" },
      { code: "effusion" },
    ]);
    expect(state.content?.quality?.grade).toBe("limited");
  });

  it("keeps an absence that the reader coded by hand", () => {
    let state = reportStep(opened(), { kind: "add", finding: { ...newFinding("pneumothorax"), presence: "absent" } });
    state = reportStep(state, { kind: "suggested", suggestion: withNodule });
    expect(state.content?.findings).toMatchObject([{ code: "nodule" }, { code: "pneumothorax", presence: "absent" }]);
  });

  it("drops a missed finding that was taken back, even when details were added, and no other of its kind", () => {
    const missed = { ...suggestion, findings: [newFinding("effusion", { side: "left" })] };
    let state = reportStep(opened(), { kind: "suggested", suggestion: missed });
    state = reportStep(state, { kind: "finding", index: 0, change: { size_mm: 8 } });
    state = reportStep(state, { kind: "add", finding: newFinding("effusion", { side: "right" }) });
    state = reportStep(state, { kind: "suggested", suggestion });
    expect(state.content?.findings).toMatchObject([{ code: "effusion", side: "right", size_mm: null }]);
  });

  it("is unsaved from a change until the service has that very content", () => {
    let state = reportStep(opened(), { kind: "write", field: "findings_text", text: "a" });
    expect(isUnsaved(state)).toBe(true);
    const sent = state.content as Content;
    state = reportStep(state, { kind: "write", field: "findings_text", text: "ab" });
    state = reportStep(state, { kind: "saved", content: sent });
    expect(isUnsaved(state)).toBe(true);
    expect(isUnsaved(reportStep(state, { kind: "saved", content: state.content as Content }))).toBe(false);
  });

  it("opens with the draft where there is one", () => {
    expect(opened(withNodule).content).toEqual(withNodule);
    expect(isUnsaved(opened(withNodule))).toBe(false);
  });

  it("takes a macro's codes, each recommendation once", () => {
    const macro = {
      findings: [{ code: "pneumonia", side: "right", zones: ["lower"] }],
      recommendations: ["none", "follow"],
    };
    const { content } = reportStep(opened(), { kind: "macro", macro });
    expect(content?.findings).toEqual([{ ...newFinding("pneumonia"), side: "right", zones: ["lower"] }]);
    expect(content?.recommendations).toEqual(["none", "follow"]);
  });
});

it("takes the technique in words beside its code, and puts back what was lost", () => {
  const worded = reportStep(opened(suggestion), { kind: "technique", change: { text: "lordotic" } });
  expect(worded.content?.technique).toEqual({ code: "chest_pa", text: "lordotic" });
  expect(isUnsaved(worded)).toBe(true);
  const restored = reportStep(opened(suggestion), { kind: "restored", content: worded.content as Content });
  expect(restored.content).toEqual(worded.content);
  expect(isUnsaved(restored)).toBe(true);
});
