import { expect, it } from "vitest";
import { allowMarkup, allowScriptAddress } from "./trusted.ts";

it("lets style sheets through and nothing that could hold an element", () => {
  expect(allowMarkup(":root{--a:1px} .a > .b {color:red}")).toContain(".a > .b");
  expect(() => allowMarkup("<img src=x onerror=alert(1)>")).toThrow();
});

it("lets code come from our own address only", () => {
  const own = "https://pandok.example";
  expect(allowScriptAddress("/assets/worker.js", own)).toBe("/assets/worker.js");
  expect(() => allowScriptAddress("https://elsewhere.example/x.js", own)).toThrow();
  expect(() => allowScriptAddress("data:text/javascript,alert(1)", own)).toThrow();
});
