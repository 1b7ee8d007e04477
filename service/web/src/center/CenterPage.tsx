/** The center's own studies: where each stands, in plain words, and its report when there is one. */
import { Button, TextInput } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { keepPreviousData, useInfiniteQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { ask } from "../api.ts";
import { ago, dicomDate, personName, sexAge } from "../app/format.ts";
import { currentLanguage } from "../app/language.ts";
import type { CenterPage as Page, CenterStudy } from "../shapes.ts";
import { Attention, Stage } from "./Stage.tsx";
import "./center.css";

const STAGES = ["arriving", "received", "being_read", "preliminary", "reported", "amended", "retracted", "needs_attention"] as const;
const REFRESH_MS = 15_000;

export default function CenterPage() {
  const { t } = useTranslation("center");
  const [stage, setStage] = useState<CenterStudy["stage"] | null>(null);
  const [text, setText] = useState("");
  const [q] = useDebouncedValue(text.trim(), 250);
  const list = useInfiniteQuery({
    queryKey: ["center", "studies", stage, q],
    queryFn: ({ pageParam, signal }) =>
      ask<Page>("/api/center/studies", { query: { state: stage, q, limit: 100, cursor: pageParam }, signal, background: true }),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next_cursor,
    placeholderData: keepPreviousData,
    refetchInterval: REFRESH_MS,
  });
  const pages = list.data?.pages ?? [];
  const now = pages[0]?.now ?? Date.now() / 1000;
  const counts = pages[0]?.counts ?? {};
  const items = pages.flatMap((page) => page.items);
  return (
    <div className="center">
      <div className="center-head">
        <h1>{t("title")}</h1>
        <div className="states" role="group" aria-label={t("by_stage")}>
          <button type="button" aria-pressed={stage === null} onClick={() => setStage(null)}>
            {t("all")}
          </button>
          {STAGES.filter((one) => counts[one] || one === stage).map((one) => (
            <button key={one} type="button" data-stage={one} aria-pressed={stage === one} onClick={() => setStage(one)}>
              {t(`stage.${one}`)} <b className="numbers">{counts[one] ?? 0}</b>
            </button>
          ))}
        </div>
        <TextInput
          size="xs" type="search" className="search" aria-label={t("worklist:search")} placeholder={t("worklist:search")}
          value={text} onChange={(event) => setText(event.currentTarget.value)} maxLength={64}
        />
      </div>
      <table className="studies">
        <thead>
          <tr>
            <th scope="col">{t("column.stage")}</th>
            <th scope="col">{t("worklist:column.patient")}</th>
            <th scope="col">{t("worklist:column.study")}</th>
            <th scope="col">{t("column.question")}</th>
            <th scope="col">{t("column.report")}</th>
            <th scope="col">{t("column.received")}</th>
          </tr>
        </thead>
        <tbody>
          {items.map((study) => (
            <StudyRow key={study.public_id} study={study} now={now} />
          ))}
        </tbody>
      </table>
      {items.length === 0 && (
        <p className="center-empty quiet">
          {list.isPending ? t("common:loading") : t("empty")} {!list.isPending && !q && !stage && <Link to="/upload">{t("common:nav.upload")}</Link>}
        </p>
      )}
      {list.hasNextPage && (
        <Button variant="default" onClick={() => void list.fetchNextPage()} loading={list.isFetchingNextPage}>
          {t("more")}
        </Button>
      )}
    </div>
  );
}

function StudyRow({ study, now }: { study: CenterStudy; now: number }) {
  const { t } = useTranslation("center");
  const name = personName(study.patient.name, currentLanguage()) || t("common:unknown");
  return (
    <tr>
      <td>
        <Stage stage={study.stage} />
        <Attention attention={study.attention} />
      </td>
      <td>
        <Link to="/center/$id" params={{ id: study.public_id }}>
          {name}
        </Link>
        <small>
          {study.patient.id} · {sexAge(t, study.patient.sex, study.patient.age_years)}
        </small>
      </td>
      <td>
        <b>{study.modalities.join(" ")}</b> <span className="numbers">{dicomDate(study.study_date)}</span>
        <small>{[study.description, t("common:images", { count: study.images })].filter(Boolean).join(" · ")}</small>
      </td>
      <td className="cell-question">{study.question?.question || study.question?.history || <span className="quiet">–</span>}</td>
      <td>
        {study.report && (
          <>
            <Link to="/reports/$id" params={{ id: study.report.public_id }}>
              {study.report.is_read ? t("report.open") : <b>{t("report.unread")}</b>}
            </Link>
            {study.report.critical_category !== null && (
              <small className="critical">{t("report.critical", { n: study.report.critical_category })}</small>
            )}
          </>
        )}
      </td>
      <td className="quiet numbers">{ago(t, now - study.first_image_at)}</td>
    </tr>
  );
}
