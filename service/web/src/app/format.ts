/** Dates, ages and names in the reader's words and time zone. */
import type { TFunction } from "i18next";
import { currentLanguage } from "./language.ts";

/** PN groups: the ideographic one for Korean readers where there is one, else the first (PS3.5 6.2.1). */
export function personName(text: string | null | undefined, language: string): string {
  const groups = (text ?? "").replace(TURNS, "").split("=").map((group) => group.split("^").filter(Boolean).join(" "));
  return (language === "ko" && groups[1]) || groups.find(Boolean) || "";
}

/** Signs that turn the direction of writing: with them one name can be made to look like another. */
const TURNS = /[\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

/** A DICOM date as people in all four languages read one without doubt. */
export function dicomDate(date: string | null | undefined): string {
  return /^\d{8}$/.test(date ?? "") ? (date as string).replace(/^(\d{4})(\d\d)(\d\d)$/, "$1-$2-$3") : (date ?? "");
}

/** How long before this study a prior was made, in the largest unit. */
export function daysBefore(days: number | null): string {
  if (days === null) return "";
  const format = new Intl.RelativeTimeFormat(currentLanguage(), { numeric: "always" });
  if (days >= 730) return format.format(-Math.floor(days / 365.25), "year");
  if (days >= 60) return format.format(-Math.floor(days / 30.44), "month");
  return format.format(-days, "day");
}

export function sexAge(t: TFunction, sex: string | null | undefined, years: number | null | undefined): string {
  const known = sex === "M" || sex === "F" || sex === "O" ? t(`common:sex.${sex}`) : t("common:unknown");
  return `${known} · ${age(t, years)}`;
}

export function age(t: TFunction, years: number | null | undefined): string {
  if (years === null || years === undefined) return t("common:unknown");
  if (years < 2) return t("common:age.months", { count: Math.floor(years * 12) });
  return t("common:age.years", { count: Math.floor(years) });
}

/** How long, in the largest unit that still says enough: `25 min`, `3 h 20 min`, `14 h`, `5 d`. */
export function span(t: TFunction, seconds: number): string {
  if (seconds < 3600) return t("common:time.minutes", { n: Math.floor(seconds / 60) });
  if (seconds >= 172_800) return t("common:time.days", { n: Math.floor(seconds / 86_400) });
  const hours = t("common:time.hours", { n: Math.floor(seconds / 3600) });
  const minutes = Math.floor((seconds % 3600) / 60);
  return minutes && seconds < 36_000 ? `${hours} ${t("common:time.minutes", { n: minutes })}` : hours;
}

export function ago(t: TFunction, seconds: number): string {
  return seconds < 60 ? t("common:time.now") : t("common:time.ago", { time: span(t, seconds) });
}

/** The hour at a place: `14:30`, with the day where it is not today's there. */
export function hourAt(atS: number, nowS: number, timeZone: string | null | undefined): string {
  const zone = zoneOrOwn(timeZone);
  if (dayIn(zone, atS) === dayIn(zone, nowS)) return hourIn(zone, atS);
  const short = new Intl.DateTimeFormat(currentLanguage(), { timeZone: zone, month: "numeric", day: "numeric" });
  return `${short.format(atS * 1000)} ${hourIn(zone, atS)}`;
}

/** The same moment elsewhere, beside the hour here: the day is said only by how far it is from the one here. */
export function hourBeside(atS: number, here: string | null | undefined, there: string | null | undefined): string {
  const [own, other] = [zoneOrOwn(here), zoneOrOwn(there)];
  const days = (Date.parse(dayIn(other, atS)) - Date.parse(dayIn(own, atS))) / 86_400_000;
  return hourIn(other, atS) + (days === 0 ? "" : days > 0 ? " +1" : " −1");
}

function dayIn(zone: string, atS: number): string {
  return new Intl.DateTimeFormat("en-CA", { timeZone: zone }).format(atS * 1000);
}

function hourIn(zone: string, atS: number): string {
  return new Intl.DateTimeFormat("en-GB", { timeZone: zone, hour: "2-digit", minute: "2-digit" }).format(atS * 1000);
}

export function moment(atS: number | null | undefined, timeZone?: string | null): string {
  if (atS === null || atS === undefined) return "";
  const format = new Intl.DateTimeFormat(currentLanguage(), {
    dateStyle: "medium", timeStyle: "short", hourCycle: "h23", timeZone: zoneOrOwn(timeZone),
  });
  return format.format(atS * 1000);
}

/** Returns a zone that this browser knows; its own where it does not know the wanted one. */
function zoneOrOwn(timeZone: string | null | undefined): string {
  const own = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (!timeZone) return own;
  try {
    return new Intl.DateTimeFormat("en", { timeZone }).resolvedOptions().timeZone;
  } catch {
    return own;
  }
}

/** The last part of a zone's name, which is a place that people know: `Asia/Ho_Chi_Minh` → `Ho Chi Minh`. */
export function zonePlace(timeZone: string): string {
  return (timeZone.split("/").at(-1) ?? timeZone).replaceAll("_", " ");
}
