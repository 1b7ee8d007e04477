/** The rows on screen of a list of any length. */
import { useVirtualizer } from "@tanstack/react-virtual";
import { useEffect, useRef } from "react";
import { useTranslation } from "react-i18next";
import { useMe } from "../app/me.ts";
import type { Item } from "../shapes.ts";
import { useView } from "./filters.ts";
import { Row } from "./Row.tsx";

const ROW_PX = 48;
const COLUMNS = ["priority", "due", "patient", "sex_age", "study", "findings", "reading", "site"] as const;

interface Props {
  items: readonly Item[];
  now: number;
  selected: string | null;
  hasMore: boolean;
  isLoading: boolean;
  /** The details stand beside it. */
  isNarrow: boolean;
  more: () => void;
  open: (item: Item) => void;
}

export function List({ items, now, selected, hasMore, isLoading, isNarrow, more, open }: Props) {
  const { t } = useTranslation("worklist");
  const me = useMe();
  const timeZone = me.time_zone ?? Intl.DateTimeFormat().resolvedOptions().timeZone;
  const scroller = useRef<HTMLDivElement>(null);
  const rows = useVirtualizer({
    count: items.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => ROW_PX,
    getItemKey: (place) => items[place]?.public_id ?? place,
    overscan: 8,
  });
  const shown = rows.getVirtualItems();
  const lastShown = shown.at(-1)?.index ?? 0;
  useEffect(() => {
    if (hasMore && lastShown >= items.length - 20) more();
  }, [hasMore, items.length, lastShown, more]);
  const at = items.findIndex((item) => item.public_id === selected);
  useEffect(() => {
    if (at >= 0) rows.scrollToIndex(at, { align: "auto" });
  }, [at, rows]);

  return (
    <div
      className={isNarrow ? "list is-narrow" : "list"}
      ref={scroller}
      role="grid"
      tabIndex={0}
      aria-label={t("title")}
      aria-rowcount={hasMore ? -1 : items.length + 1}
      aria-activedescendant={at >= 0 ? `row-${selected}` : undefined}
    >
      <div role="rowgroup" className="list-head">
        <div role="row" className="row" aria-rowindex={1}>
          {COLUMNS.map((column) => (
            <div key={column} role="columnheader">
              {t(`column.${column}`)}
            </div>
          ))}
        </div>
      </div>
      <div role="rowgroup" className="list-rows" style={{ height: rows.getTotalSize() }}>
        {shown.map(({ index, key, start }) => {
          const item = items[index];
          if (!item) return null;
          return (
            <div
              key={key}
              id={`row-${item.public_id}`}
              role="row"
              className={`row is-${item.priority}${item.claim && !item.claim.mine ? " is-taken" : ""}`}
              aria-rowindex={index + 2}
              aria-selected={item.public_id === selected}
              style={{ transform: `translateY(${start}px)`, height: ROW_PX }}
              onClick={() => useView.setState({ selected: item.public_id, previewOpen: true })}
              onDoubleClick={() => open(item)}
            >
              <Row item={item} now={now} timeZone={timeZone} />
            </div>
          );
        })}
      </div>
      {items.length === 0 && <p className="list-empty quiet">{isLoading ? t("common:loading") : t("empty")}</p>}
    </div>
  );
}
