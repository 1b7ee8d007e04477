/** The worklist: what waits to be read, in reading order, live, by keyboard. */
import { Button, Kbd } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { useQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useCallback, useEffect, useMemo, useRef } from "react";
import { useTranslation } from "react-i18next";
import { Aside } from "../app/Aside.tsx";
import { useNext } from "../app/claims.ts";
import { useServiceNow } from "../app/clock.ts";
import { useKeys } from "../app/keys.ts";
import { useMe } from "../app/me.ts";
import { rememberList } from "../app/nextCase.ts";
import { showRefusal } from "../app/refusals.ts";
import type { Item } from "../shapes.ts";
import { useView } from "./filters.ts";
import { List } from "./List.tsx";
import { Preview } from "./Preview.tsx";
import { Toolbar } from "./Toolbar.tsx";
import { type Live, useList } from "./useList.ts";
import "./worklist.css";

export default function WorklistPage() {
  const { t } = useTranslation("worklist");
  const me = useMe();
  const navigate = useNavigate();
  const filters = useView((view) => view.filters);
  const selected = useView((view) => view.selected);
  const previewOpen = useView((view) => view.previewOpen);
  const list = useList(filters);
  const search = useRef<HTMLInputElement>(null);
  const now = useServiceNow();
  const mayRead = me.permissions.includes("read_cases");
  const { items } = list;

  useEffect(() => {
    const readable = items.filter((item) => !item.claim || item.claim.mine).map((item) => item.public_id);
    const { state, priority, modality, site, due, q, sort } = filters;
    rememberList(readable, { state: state === "signed" ? null : state, priority, modality, site, due, q, sort });
  }, [items, filters]);

  const open = useCallback(
    (item: Item) => {
      if (!mayRead) useView.setState({ selected: item.public_id, previewOpen: true });
      else if (item.claim && !item.claim.mine && item.item_state === "in progress") {
        useView.setState({ selected: item.public_id, previewOpen: true });
        notifications.show({ color: "yellow", message: t("common:refused.claimed_by", { name: item.claim.by }) });
      } else void navigate({ to: "/read/$id", params: { id: item.public_id } });
    },
    [mayRead, navigate, t],
  );
  const claimNext = useNext();
  const next = () => claimNext().catch(showRefusal);

  const at = items.findIndex((item) => item.public_id === selected);
  const move = (step: number) => {
    const item = items[Math.min(Math.max(at + step, 0), items.length - 1)];
    if (item) useView.setState({ selected: item.public_id });
  };
  const current = items[at];
  const group = t("title");
  useKeys([
    { id: "worklist.down", keys: ["j", "ArrowDown"], label: t("keys.down"), group, repeats: true, run: () => move(1) },
    { id: "worklist.up", keys: ["k", "ArrowUp"], label: t("keys.up"), group, repeats: true, run: () => move(-1) },
    { id: "worklist.open", keys: ["Enter"], label: t(mayRead ? "keys.read" : "keys.preview"), group, run: () => current && open(current) },
    ...(mayRead ? [{ id: "worklist.next", keys: ["n"], label: t("keys.next"), group, run: () => void next() }] : []),
    { id: "worklist.preview", keys: [" "], label: t("keys.preview"), group, run: () => selected && useView.setState({ previewOpen: !previewOpen }) },
    { id: "worklist.search", keys: ["/"], label: t("keys.search"), group, run: () => search.current?.select() },
    { id: "worklist.close", keys: ["Escape"], label: t("keys.close"), group, run: () => useView.setState({ previewOpen: false }) },
  ]);

  return (
    <div className="worklist">
      <Aside>
        <LiveSign live={list.live} />
      </Aside>
      <Alarm />
      <div className="worklist-head">
        <h1>{t("title")}</h1>
        {mayRead && (
          <Button size="compact-sm" onClick={() => void next()} rightSection={<Kbd size="xs">N</Kbd>}>
            {t("next")}
          </Button>
        )}
        <Toolbar counts={list.counts} search={search} />
      </div>
      <div className="worklist-room">
        <List
          items={items}
          now={now}
          selected={selected}
          hasMore={list.hasNextPage}
          isLoading={list.isPending}
          isNarrow={previewOpen && selected !== null}
          more={() => !list.isFetchingNextPage && void list.fetchNextPage()}
          open={open}
        />
        {previewOpen && selected && (
          <Preview key={selected} id={selected} mayRead={mayRead} close={() => useView.setState({ previewOpen: false })} open={open} />
        )}
      </div>
    </div>
  );
}

function LiveSign({ live }: { live: Live }) {
  const { t } = useTranslation();
  return (
    <span className="live" data-live={live} role="status">
      {t(`live.${live}`)}
    </span>
  );
}

interface Ready {
  alarms: string[];
  checks: Record<string, { ok: boolean; detail: string }>;
}

/** Tells those who run the service when a part of it does not work. */
function Alarm() {
  const { t } = useTranslation();
  const may = useMe().permissions.some((one) => one === "run_service" || one === "see_metrics");
  const { data } = useQuery({
    queryKey: ["ready"],
    queryFn: async () => (await (await fetch("/ready", { headers: { "X-Pandok-Background": "1" } })).json()) as Partial<Ready>,
    enabled: may,
    refetchInterval: 30_000,
  });
  const texts = useMemo(() => {
    const failed = Object.entries(data?.checks ?? {}).filter(([, check]) => !check.ok);
    return [...(data?.alarms ?? []), ...failed.map(([name, check]) => `${name}: ${check.detail}`)];
  }, [data]);
  if (texts.length === 0) return null;
  return (
    <div className="alarm" role="alert">
      {t("alarm.not_ready")} — {texts.join(" · ")}
    </div>
  );
}
