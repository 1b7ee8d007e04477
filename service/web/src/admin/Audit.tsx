/** Who did what to which study; read only, and reading it is noted too. */
import { Button, TextInput } from "@mantine/core";
import { useInfiniteQuery } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { useTranslation } from "react-i18next";
import { ask } from "../api.ts";
import { moment } from "../app/format.ts";
import { useMe } from "../app/me.ts";
import type { AuditEvent, AuditPage } from "../shapes.ts";

export function Audit() {
  const { t } = useTranslation("admin");
  const [typed, setTyped] = useState({ actor: "", object_id: "" });
  const [wanted, setWanted] = useState(typed);
  const list = useInfiniteQuery({
    queryKey: ["audit", wanted],
    queryFn: ({ pageParam }) => ask<AuditPage>("/api/audit", { query: { ...wanted, limit: 100, after: pageParam } }),
    initialPageParam: null as number | null,
    getNextPageParam: (page) => page.next_after,
  });
  const search = (event: FormEvent) => {
    event.preventDefault();
    setWanted({ actor: typed.actor.trim(), object_id: typed.object_id.trim() });
  };
  const events = list.data?.pages.flatMap((page) => page.events) ?? [];
  return (
    <section>
      <form className="admin-bar" onSubmit={search}>
        <TextInput size="xs" aria-label={t("audit.actor")} placeholder={t("audit.actor")} value={typed.actor} onChange={(event) => setTyped({ ...typed, actor: event.currentTarget.value })} />
        <TextInput size="xs" aria-label={t("audit.object")} placeholder={t("audit.object")} value={typed.object_id} onChange={(event) => setTyped({ ...typed, object_id: event.currentTarget.value })} />
        <Button size="xs" variant="default" type="submit">
          {t("audit.search")}
        </Button>
      </form>
      <table className="studies">
        <thead>
          <tr>
            <th scope="col">{t("at")}</th>
            <th scope="col">{t("audit.actor")}</th>
            <th scope="col">{t("audit.action")}</th>
            <th scope="col">{t("audit.object")}</th>
            <th scope="col">{t("audit.hash")}</th>
          </tr>
        </thead>
        <tbody>
          {events.map((event) => (
            <Line key={event.id} event={event} />
          ))}
        </tbody>
      </table>
      {list.hasNextPage && (
        <Button size="xs" variant="default" onClick={() => void list.fetchNextPage()} loading={list.isFetchingNextPage}>
          {t("center:more")}
        </Button>
      )}
    </section>
  );
}

function Line({ event }: { event: AuditEvent }) {
  const zone = useMe().time_zone;
  const detail = Object.entries(event.detail).map(([name, value]) => `${name} ${JSON.stringify(value)}`);
  return (
    <tr>
      <td className="numbers quiet">{moment(event.at, zone)}</td>
      <td>
        {event.actor_name ?? event.actor}
        <small>{[event.role, event.site].filter(Boolean).join(" · ")}</small>
      </td>
      <td className={event.outcome === "success" ? "" : "admin-refused"}>
        <code>{event.action}</code>
        <small>{detail.join(", ")}</small>
      </td>
      <td className="admin-uid">
        {event.object_id ?? "–"}
        <small>{event.object_type}</small>
      </td>
      <td className="quiet numbers">
        <code title={event.sha256}>{event.sha256.slice(0, 10)}</code>
      </td>
    </tr>
  );
}
