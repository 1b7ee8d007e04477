import { describe, expect, it } from "vitest";
import { toQuery } from "../api.ts";
import { homeOf } from "./home.ts";
import { firstLanguage } from "./language.ts";
import { lastFilters, likelyNext, rememberList } from "./nextCase.ts";

describe("where each role begins", () => {
  it.each([
    [["see_worklist", "read_cases"], "/worklist"],
    [["send_studies", "see_own_studies"], "/center"],
    [["read_audit", "see_problems"], "/admin"],
    [["see_metrics"], "/settings"],
  ])("%j → %s", (permissions, home) => expect(homeOf({ permissions })).toBe(home));
});

describe("firstLanguage", () => {
  it("is the one used last, else the browser's, else Korean", () => {
    expect(firstLanguage("vi", ["ru-RU"])).toBe("vi");
    expect(firstLanguage("tlh", ["de-DE", "ru-RU"])).toBe("ru");
    expect(firstLanguage(null, ["de-DE"])).toBe("ko");
  });
});

describe("the next case", () => {
  it("is the one after the case on screen, and the first where that has left the list", () => {
    rememberList(["a", "b", "c"], { modality: "DX", site: null });
    expect(likelyNext("b")).toBe("c");
    expect(likelyNext("c")).toBeNull();
    expect(likelyNext("gone")).toBe("a");
    expect(lastFilters()).toEqual({ modality: "DX" });
  });
});

it("leaves empty conditions out of a question", () => {
  expect(toQuery({ q: "", state: null, limit: 100, site: undefined, sort: "due" })).toBe("limit=100&sort=due");
});
