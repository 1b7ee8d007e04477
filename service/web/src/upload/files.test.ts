import { describe, expect, it } from "vitest";
import { kindOf } from "./files.ts";

const bytes = (at: number, text: string, length = 200) => {
  const made = new Uint8Array(length);
  made.set(new TextEncoder().encode(text), at);
  return made;
};
const found = (name: string, content: Uint8Array) => ({ name, file: new File([content as BlobPart], name) });

describe("kindOf", () => {
  it.each([
    ["a film by its preamble", found("IM1", bytes(128, "DICM")), "image"],
    ["a film without a preamble", found("IM1", Uint8Array.of(2, 0, 0, 0, 85, 76)), "image"],
    ["an index by its name, whatever it holds", found("CD/dicomdir", bytes(128, "DICM")), "index"],
    ["a zip", found("cd.zip", bytes(0, "PK")), "zip"],
    ["a viewer on the CD", found("viewer.exe", bytes(0, "MZ")), "other"],
    ["an empty file", found("empty", new Uint8Array(0)), "other"],
  ])("tells %s", async (_name, one, kind) => expect(await kindOf(one)).toBe(kind));
});
