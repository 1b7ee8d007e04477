/** What comes after the case on screen: the reader opens it at once because it was fetched before. */
import { ask } from "../api.ts";
import { queries } from "./queries.ts";

/** The reading order that the worklist showed last, and how it was filtered. */
interface LastList {
  ids: readonly string[];
  filters: Record<string, string | null>;
}

let lastList: LastList = { ids: [], filters: {} };

/** Called by the worklist whenever it shows a page: `ids` are those that this reader may claim, in order. */
export function rememberList(ids: readonly string[], filters: Record<string, string | null>): void {
  lastList = { ids, filters };
}

/** The filters to send with `POST /api/worklist/next`: those that narrow the list. */
export function lastFilters(): Record<string, string> {
  return Object.fromEntries(Object.entries(lastList.filters).filter((one): one is [string, string] => Boolean(one[1])));
}

/** Returns the case that most likely comes after this one; the service decides when it is claimed. */
export function likelyNext(current: string): string | null {
  const at = lastList.ids.indexOf(current);
  return lastList.ids[at + 1] ?? (at === -1 ? (lastList.ids[0] ?? null) : null);
}

/** Key and question of one case, the same for the reader and for the prefetch. */
export function caseOptions<T>(id: string) {
  return { queryKey: ["case", id] as const, queryFn: () => ask<T>(`/api/cases/${id}`), staleTime: 15_000 };
}

type Prefetcher = (view: unknown) => void | Promise<void>;
let prefetchImages: Prefetcher = () => undefined;

/** The viewer says how the images of a case are fetched before they are wanted. */
export function onPrefetch(how: Prefetcher): void {
  prefetchImages = how;
}

/** Fetches a case and its images while the reader is still at another one; the service notes that nobody opened it. */
export async function prefetchCase(id: string): Promise<void> {
  const ahead = () => ask<unknown>(`/api/cases/${id}`, { background: true, prefetch: true });
  const view = await queries.fetchQuery({ ...caseOptions<unknown>(id), queryFn: ahead });
  await prefetchImages(view);
}
