/** Upload: folders, files and zips go in, one outcome for every file comes back, in plain words. */
import { Button, NativeSelect, Progress, SegmentedControl, Textarea } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import i18next from "i18next";
import { useEffect, useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import { ask } from "../api.ts";
import { useMe } from "../app/me.ts";
import type { Priority } from "../shapes.ts";
import { droppedFiles, pickedFiles } from "./files.ts";
import { useOrder } from "./order.ts";
import { add, isSending, type Result, retry, useRound } from "./round.ts";
import "./upload.css";

const MOST_ROWS = 1000;

export default function UploadPage() {
  const { t } = useTranslation("upload");
  const me = useMe();
  const [site, setSite] = useState<string | null>(null);
  const { data } = useQuery({
    queryKey: ["sites"],
    queryFn: () => ask<{ sites: { code: string; name: string }[] }>("/api/sites"),
    enabled: me.site === null,
  });
  const sites = data?.sites ?? [];
  const chosen = me.site ? null : (site ?? sites[0]?.code ?? null);
  return (
    <div className="upload">
      <h1>{t("title")}</h1>
      <p className="quiet">{t("how")}</p>
      {sites.length > 1 && (
        <NativeSelect
          label={t("site")}
          value={chosen ?? ""}
          data={sites.map((one) => ({ value: one.code, label: one.name }))}
          onChange={(event) => setSite(event.currentTarget.value)}
        />
      )}
      <div className="upload-parts">
        <Drop site={chosen} />
        <Order mayAsk={me.site !== null} />
      </div>
      <Outcome mayFollow={me.permissions.includes("see_own_studies")} />
    </div>
  );
}

function Drop({ site }: { site: string | null }) {
  const { t } = useTranslation("upload");
  const folder = useRef<HTMLInputElement>(null);
  const files = useRef<HTMLInputElement>(null);
  const [over, setOver] = useState(false);
  useEffect(() => {
    // On the whole page: a file dropped beside the box would replace the page.
    const hover = (event: DragEvent) => {
      event.preventDefault();
      setOver(event.type === "dragover");
    };
    const drop = (event: DragEvent) => {
      hover(event);
      if (event.dataTransfer) void droppedFiles(event.dataTransfer).then((found) => add(found, site));
    };
    const leave = (event: BeforeUnloadEvent) => isSending() && event.preventDefault();
    addEventListener("dragover", hover);
    addEventListener("dragleave", hover);
    addEventListener("drop", drop);
    addEventListener("beforeunload", leave);
    return () => {
      removeEventListener("dragover", hover);
      removeEventListener("dragleave", hover);
      removeEventListener("drop", drop);
      removeEventListener("beforeunload", leave);
    };
  }, [site]);
  const picked = (input: HTMLInputElement) => {
    const found = pickedFiles(input);
    input.value = ""; // the same folder may be picked again
    void add(found, site);
  };
  return (
    <section className={over ? "drop over" : "drop"} aria-label={t("drop")}>
      <svg viewBox="0 0 48 48" width="44" height="44" aria-hidden="true">
        <path d="M24 32V12m0 0-8 8m8-8 8 8M9 32v5a3 3 0 0 0 3 3h24a3 3 0 0 0 3-3v-5" />
      </svg>
      <p>{t("drop")}</p>
      <div className="drop-buttons">
        <Button onClick={() => folder.current?.click()}>{t("pick_folder")}</Button>
        <Button variant="default" onClick={() => files.current?.click()}>
          {t("pick_files")}
        </Button>
      </div>
      <input
        ref={folder} id="folder" type="file" multiple hidden aria-label={t("pick_folder")}
        {...{ webkitdirectory: "" }} onChange={(event) => picked(event.currentTarget)}
      />
      <input ref={files} id="files" type="file" multiple hidden aria-label={t("pick_files")} onChange={(event) => picked(event.currentTarget)} />
    </section>
  );
}

/** What the center asks; it goes with the files that are added next. */
function Order({ mayAsk }: { mayAsk: boolean }) {
  const { t } = useTranslation("upload");
  const { question, history, priority } = useOrder();
  const words: Priority[] = ["routine", "urgent", "stat"];
  return (
    <section className="order">
      {mayAsk && (
        <>
          <Textarea
            label={t("question")} description={t("question.how")} autosize minRows={2} maxRows={6} maxLength={2000}
            value={question} onChange={(event) => useOrder.setState({ question: event.currentTarget.value })}
          />
          <Textarea
            label={t("history")} autosize minRows={2} maxRows={8} maxLength={4000}
            value={history} onChange={(event) => useOrder.setState({ history: event.currentTarget.value })}
          />
        </>
      )}
      <div>
        <p className="order-label" id="priority-label">
          {t("common:action.priority")}
        </p>
        <SegmentedControl
          fullWidth aria-labelledby="priority-label" value={priority} onChange={(value) => useOrder.setState({ priority: value as Priority })}
          data={words.map((one) => ({ value: one, label: t(`common:priority.${one}`) }))}
        />
      </div>
    </section>
  );
}

function Outcome({ mayFollow }: { mayFollow: boolean }) {
  const { t } = useTranslation("upload");
  const round = useRound();
  const { counts, results, ended, underWay } = round;
  if (results.length === 0 && underWay === 0) return null;
  const share = round.bytesAll ? (100 * round.bytesGone) / round.bytesAll : 100;
  const groups = (["kept", "held", "refused", "left", "lost", "waiting"] as const).filter((group) => group === "kept" || counts[group]);
  const said = groups.map((group) => t(group, { n: counts[group] }));
  if (underWay) said.push(t("under_way", { n: underWay }));
  return (
    <section className="outcome" aria-labelledby="totals">
      <Progress value={share} aria-label={t("progress")} size="sm" />
      <p id="totals" role="status">
        {said.join(" · ")}
      </p>
      {ended && (
        <p role="status" className={ended.isWhole ? "after" : "after after-open"}>
          {t(afterKey(counts.lost, ended.studies, ended.isWhole), { n: ended.studies })}
          {ended.orderFailed && <b> {t("order_failed")}</b>}
          {mayFollow && ended.studies > 0 && <Link to="/center">{t("follow")}</Link>}
        </p>
      )}
      {counts.lost > 0 && underWay === 0 && (
        <Button size="xs" variant="default" onClick={retry}>
          {t("retry")}
        </Button>
      )}
      <table className="files">
        <thead>
          <tr>
            <th scope="col">{t("file")}</th>
            <th scope="col">{t("outcome")}</th>
          </tr>
        </thead>
        <tbody>
          {results.slice(0, MOST_ROWS).map((result, place) => (
            <tr key={place}>
              <td>{result.name}</td>
              <td className={`outcome-${result.group}`}>{arrivedWords(result)}</td>
            </tr>
          ))}
        </tbody>
      </table>
      {results.length > MOST_ROWS && <p className="quiet">{t("unlisted", { n: results.length - MOST_ROWS })}</p>}
    </section>
  );
}

function afterKey(lost: number, studies: number, isWhole: boolean) {
  if (lost > 0) return "after_lost";
  if (studies === 0) return "after_nothing";
  return isWhole ? "after_whole" : "after_waits";
}

function arrivedWords(result: Result): string {
  const key = `upload:arrived.${result.reason}`;
  return i18next.exists(key) ? (i18next.t as (key: string) => string)(key) : (result.message ?? result.reason);
}
