/** What a pixel measures, and what may be said of a distance on an image. */

export type SpacingKind = "calibrated" | "detector" | "none";

export interface Spacing {
  kind: SpacingKind;
  row_mm: number | null;
  column_mm: number | null;
}

export const UNKNOWN: Spacing = { kind: "none", row_mm: null, column_mm: null };

/** Returns the distances between pixels when they are known and can be true; some senders write zeros. */
export function usable(spacing: Spacing): { row_mm: number; column_mm: number } | undefined {
  const { kind, row_mm, column_mm } = spacing;
  if (kind === "none" || !isLength(row_mm) || !isLength(column_mm)) return undefined;
  return { row_mm, column_mm };
}

export type LengthUnit = "mm" | "mm_detector" | "px";

export interface Measured {
  value: number;
  unit: LengthUnit;
}

/** Measures between two places of an image, in columns and rows.
 *
 * Millimetres at the detector are larger than in the patient by an unknown factor, so they have a unit of their own.
 */
export function measure(from: readonly [number, number], to: readonly [number, number], spacing: Spacing): Measured {
  const known = usable(spacing);
  const columns = (to[0] - from[0]) * (known?.column_mm ?? 1);
  const rows = (to[1] - from[1]) * (known?.row_mm ?? 1);
  const value = Math.hypot(columns, rows);
  if (!known) return { value, unit: "px" };
  return { value, unit: spacing.kind === "detector" ? "mm_detector" : "mm" };
}

/** Writes a measured length in the reader's language: whole pixels, millimetres to a tenth below 100. */
export function lengthText(measured: Measured, language: string, unitName: (unit: LengthUnit) => string): string {
  const digits = measured.unit === "px" || measured.value >= 100 ? 0 : 1;
  const figure = new Intl.NumberFormat(language, {
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  }).format(measured.value);
  return `${figure} ${unitName(measured.unit)}`;
}

function isLength(value: number | null): value is number {
  return value !== null && Number.isFinite(value) && value > 0;
}
