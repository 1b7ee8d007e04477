/** How this reader has filtered the list; kept while the app is open, and in no address: a search holds a name. */
import { create } from "zustand";
import type { Priority, StudyState } from "../shapes.ts";

export interface Filters {
  state: StudyState | "signed" | null;
  priority: Priority | null;
  modality: string | null;
  site: string | null;
  claim: "free" | "mine" | null;
  due: "overdue" | "4h" | "today" | null;
  q: string | null;
  sort: "due" | "received" | "patient" | "site" | null;
}

export const NO_FILTERS: Filters = {
  state: null, priority: null, modality: null, site: null, claim: null, due: null, q: null, sort: null,
};

interface View {
  filters: Filters;
  selected: string | null;
  previewOpen: boolean;
}

export const useView = create<View>(() => ({ filters: NO_FILTERS, selected: null, previewOpen: false }));

export function setFilters(change: Partial<Filters>): void {
  useView.setState(({ filters }) => ({ filters: { ...filters, ...change } }));
}

/** Whether anything but the state, whose buttons stand beside it, narrows the list. */
export function isNarrowed(filters: Filters): boolean {
  const { sort: _order, state: _state, ...conditions } = filters;
  return Object.values(conditions).some((value) => value !== null);
}
