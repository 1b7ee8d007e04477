/** The list in the service's order, page by page, live. */
import { keepPreviousData, useInfiniteQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect, useMemo, useState } from "react";
import { ask } from "../api.ts";
import { setServiceTime } from "../app/clock.ts";
import type { Item, ItemPage } from "../shapes.ts";
import type { Filters } from "./filters.ts";

const PAGE = 100;
const POLL_MS = 5_000;
const GATHER_MS = 700;

export type Live = "on" | "polling" | "off";

export function useList(filters: Filters) {
  const live = useLive();
  const list = useInfiniteQuery({
    queryKey: ["worklist", "list", filters],
    queryFn: async ({ pageParam, signal }) => {
      const query = { ...filters, limit: PAGE, cursor: pageParam };
      const page = await ask<ItemPage>("/api/worklist", { query, signal, background: true });
      setServiceTime(page.now);
      return page;
    },
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next_cursor,
    placeholderData: keepPreviousData,
    refetchInterval: live === "on" ? false : POLL_MS,
  });
  const items = useMemo(() => unique((list.data?.pages ?? []).flatMap((page) => page.items)), [list.data]);
  return { ...list, items, counts: list.data?.pages[0]?.counts ?? {}, live: list.isError ? ("off" as const) : live };
}

/** A study that moved between two pages while they were asked for would be there twice. */
function unique(items: readonly Item[]): Item[] {
  return [...new Map(items.map((item) => [item.public_id, item])).values()];
}

/** Listens for changes; several at once become one look. */
function useLive(): Live {
  const queries = useQueryClient();
  const [live, setLive] = useState<Live>("polling");
  useEffect(() => {
    let stream: EventSource | null = null;
    let looking: ReturnType<typeof setTimeout> | null = null;
    const look = () => {
      looking ??= setTimeout(() => {
        looking = null;
        void queries.invalidateQueries({ queryKey: ["worklist"], predicate: (one) => one.queryKey[1] !== "names" });
      }, GATHER_MS);
    };
    const listen = () => {
      stream = new EventSource("/api/worklist/events");
      stream.addEventListener("open", () => setLive("on"));
      stream.addEventListener("message", look);
      stream.addEventListener("error", () => setLive("polling"));
    };
    listen();
    const timer = setInterval(() => {
      if (stream?.readyState === EventSource.CLOSED) listen();
    }, POLL_MS);
    return () => {
      clearInterval(timer);
      if (looking) clearTimeout(looking);
      stream?.close();
    };
  }, [queries]);
  return live;
}
