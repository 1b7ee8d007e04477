import { describe, expect, it } from "vitest";
import { faults, missingKeys } from "./languages.ts";

const korean = { common: { save: "저장", images_other: "{{count}}장" } };
const russian = { common: { save: "Сохранить", images_one: "{{count}}", images_few: "{{count}}", images_many: "{{count}}", images_other: "{{count}}" } };

describe("faults", () => {
  it("finds nothing where every language has every form", () => {
    expect(faults({ ko: korean, ru: russian })).toEqual([]);
  });
  it("finds a missing key, a missing plural form, an empty text and a value that is not filled in", () => {
    const { images_few: _gone, ...rest } = russian.common;
    expect(faults({ ko: korean, ru: { common: rest } })).toEqual(["ru lacks common:images_few"]);
    expect(faults({ ko: korean, ru: { common: { ...russian.common, save: " " } } })).toEqual(["ru common:save is empty"]);
    expect(faults({ ko: { common: { a: "{{n}}" } }, ru: { common: { a: "один" } } })).toHaveLength(1);
    expect(faults({ ko: { common: {} }, ru: { common: { a: "один" } } })).toEqual(["ko lacks common:a"].reverse());
  });
});

describe("missingKeys", () => {
  it("reads the area that the component asks for", () => {
    const source = 'const { t } = useTranslation("upload"); t("title"); t("common:save"); t(`arrived.${code}`);';
    expect(missingKeys(source, { upload: { title: "", "arrived.kept": "" }, common: { save: "" } })).toEqual([]);
    expect(missingKeys(source, { upload: {}, common: { save: "" } })).toHaveLength(2);
  });
  it("sees both sides of a choice, and plural keys", () => {
    const source = 'useTranslation(); t(a ? "yes" : "no"); t("images", { count: 2 })';
    expect(missingKeys(source, { common: { yes: "", images_other: "" } })).toEqual(["no language has no (common)"]);
  });
});
