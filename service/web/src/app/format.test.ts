import i18next from "i18next";
import { describe, expect, it } from "vitest";
import { age, daysBefore, dicomDate, hourAt, hourBeside, personName, span, zonePlace } from "./format.ts";

const t = ((key: string, values: Record<string, number> = {}) => `${key} ${Object.values(values).join(" ")}`.trim()) as never;

describe("personName", () => {
  it("takes the ideographic group for Korean readers only", () => {
    expect(personName("KIM^GEOMSA=김^검사", "ko")).toBe("김 검사");
    expect(personName("KIM^GEOMSA=김^검사", "ru")).toBe("KIM GEOMSA");
  });
  it("does without a first group", () => {
    expect(personName("=김^검사", "en")).toBe("김 검사");
    expect(personName(null, "en")).toBe("");
    expect(personName("\u202eNAK\u202c^\u2066MIN", "en")).toBe("NAK MIN");
    expect(personName("محمد^علي", "vi")).toBe("محمد علي");
  });
});

describe("times", () => {
  it("says the largest unit that still says enough", () => {
    expect(span(t, 1500)).toBe("common:time.minutes 25");
    expect(span(t, 3 * 3600 + 1200)).toBe("common:time.hours 3 common:time.minutes 20");
    expect(span(t, 14 * 3600 + 1200)).toBe("common:time.hours 14");
    expect(span(t, 5 * 86_400)).toBe("common:time.days 5");
  });
  it("gives the hour at a place, with the day where it is another", () => {
    const noon = Date.UTC(2026, 10, 22, 12) / 1000;
    expect(hourAt(noon, noon, "Asia/Seoul")).toBe("21:00");
    expect(hourAt(noon, noon, "Asia/Ho_Chi_Minh")).toBe("19:00");
    expect(hourAt(noon + 4 * 3600, noon, "Asia/Seoul")).toMatch(/23.* 01:00$/);
  });
  it("says how far the center's day is from the reader's", () => {
    const late = Date.UTC(2026, 10, 22, 16) / 1000; // 01:00 of the 23rd in Seoul
    expect(hourBeside(late, "Asia/Seoul", "Asia/Ho_Chi_Minh")).toBe("23:00 −1");
    expect(hourBeside(late, "Asia/Ho_Chi_Minh", "Asia/Seoul")).toBe("01:00 +1");
    expect(hourBeside(late, "Asia/Seoul", "Asia/Vladivostok")).toBe("02:00");
  });
  it("falls back to the browser's zone where a zone is unknown", () => {
    expect(hourAt(0, 0, "Mars/Base")).toMatch(/^\d\d:\d\d$/);
  });
  it("says months for infants and nothing false for an unknown age", () => {
    expect(age(t, 0.5)).toBe("common:age.months 6");
    expect(age(t, 61.9)).toBe("common:age.years 61");
    expect(age(t, null)).toBe("common:unknown");
  });
});

it("tells how long before a study a prior was made", async () => {
  await i18next.init({ lng: "ru", resources: {} });
  expect(daysBefore(800)).toBe("2 года назад");
  expect(daysBefore(90)).toBe("2 месяца назад");
  expect(daysBefore(0)).toBe("0 дней назад");
  expect(daysBefore(null)).toBe("");
});

it("writes DICOM dates so that all read the same", () => {
  expect(dicomDate("20261120")).toBe("2026-11-20");
  expect(dicomDate("odd")).toBe("odd");
  expect(zonePlace("Asia/Ho_Chi_Minh")).toBe("Ho Chi Minh");
});
