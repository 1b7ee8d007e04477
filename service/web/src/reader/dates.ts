/** Dates and times as the reader's language writes them. */

/** Writes a DICOM date (YYYYMMDD); a date that is none is shown as it came. */
export function dateText(date: string | null, language: string): string {
  const parts = /^(\d{4})-?(\d{2})-?(\d{2})$/.exec(date ?? "");
  if (!parts) return date ?? "";
  const [year, month, day] = [Number(parts[1]), Number(parts[2]), Number(parts[3])];
  const moment = new Date(Date.UTC(year, month - 1, day));
  return new Intl.DateTimeFormat(language, { dateStyle: "medium", timeZone: "UTC" }).format(moment);
}

/** Writes a length of time in its largest two units. */
export function durationText(seconds: number, language: string): string {
  const minutes = Math.floor(seconds / 60);
  const parts: [number, string][] = [
    [Math.floor(minutes / 1440), "day"],
    [Math.floor(minutes / 60) % 24, "hour"],
    [minutes % 60, "minute"],
  ];
  const first = parts.findIndex(([value]) => value > 0);
  const shown = first === -1 ? parts.slice(2) : parts.slice(first, first + 2);
  return shown
    .map(([value, unit]) =>
      new Intl.NumberFormat(language, { style: "unit", unit, unitDisplay: "short" }).format(value),
    )
    .join(" ");
}

/** Writes how long before this study a prior was made. */
export function beforeText(days: number | null, language: string): string {
  if (days === null) return "";
  const format = new Intl.RelativeTimeFormat(language, { numeric: "always" });
  if (days >= 730) return format.format(-Math.floor(days / 365.25), "year");
  if (days >= 60) return format.format(-Math.floor(days / 30.44), "month");
  return format.format(-days, "day");
}

/** Writes a moment in a time zone, to the minute. */
export function momentText(at: number, language: string, timeZone: string | undefined): string {
  return new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short", timeZone }).format(at * 1000);
}
