import { describe, expect, it, vi } from "vitest";
import { find, type KeyAction, nameOf } from "./keys.ts";

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
