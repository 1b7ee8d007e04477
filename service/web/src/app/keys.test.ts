import { describe, expect, it, vi } from "vitest";
import { find, isControls, type KeyAction, nameOf } from "./keys.ts";

const pressed = (key: string, more: Partial<KeyboardEvent> = {}) =>
  ({ key, code: "", ctrlKey: false, metaKey: false, altKey: false, shiftKey: false, ...more }) as KeyboardEvent;
const action = (id: string, ...keys: string[]): KeyAction => ({ id, keys, label: id, run: vi.fn() });

describe("nameOf", () => {
  it("means the key's place on a Korean or Russian keyboard", () => {
    expect(nameOf(pressed("ㅜ", { code: "KeyN" }))).toBe("n");
    expect(nameOf(pressed("т", { code: "KeyN" }))).toBe("n");
    expect(nameOf(pressed("Process", { code: "KeyN" }))).toBe("n");
  });
  it("tells N from Shift+N and leaves signs as they are written", () => {
    expect(nameOf(pressed("N", { shiftKey: true }))).toBe("Shift+n");
    expect(nameOf(pressed("?", { shiftKey: true }))).toBe("?");
    expect(nameOf(pressed("Enter", { ctrlKey: true }))).toBe("Ctrl+Enter");
  });
});

describe("isControls", () => {
  const on = (tag: string) => ({ closest: (wanted: string) => (wanted.split(", ").includes(tag) ? {} : null) }) as unknown as EventTarget;
  it.each(["button", "a[href]", "[role=tab]", "[role=radio]", "[role=option]"])("leaves Enter and Space to a focused %s", (tag) => {
    expect(isControls(pressed("Enter", { target: on(tag) }))).toBe(true);
    expect(isControls(pressed(" ", { target: on(tag) }))).toBe(true);
  });
  it("leaves every other key, and Enter anywhere else, to the page", () => {
    expect(isControls(pressed("s", { target: on("button") }))).toBe(false);
    expect(isControls(pressed("Enter", { target: on("div") }))).toBe(false);
    expect(isControls(pressed("Enter", { target: null }))).toBe(false);
  });
});

describe("find", () => {
  const next = action("next", "n");
  const plus = action("stronger", "+");
  it("finds an action by its default key", () => {
    expect(find([plus, next], pressed("n"), undefined)).toBe(next);
    expect(find([plus, next], pressed("+", { shiftKey: true }), undefined)).toBe(plus);
    expect(find([plus, next], pressed("x"), undefined)).toBeNull();
  });
  it("obeys the person's own key and forgets the default", () => {
    expect(find([next], pressed("m"), { next: "m" })).toBe(next);
    expect(find([next], pressed("n"), { next: "m" })).toBeNull();
  });
});
