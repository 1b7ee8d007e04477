/** The desk of one claimed case: joins films, impression, verdicts, report and keys. */

import { useNavigate } from "@tanstack/react-router";
import { useEffect, useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import { dicomDate } from "../app/format.ts";
import { currentLanguage } from "../app/language.ts";
import { useMe } from "../app/me.ts";
import { likelyNext, prefetchCase } from "../app/nextCase.ts";
import { useViewer } from "../viewer/store.ts";
import { Viewer } from "../viewer/Viewer.tsx";
import { AiPanel } from "./AiPanel.tsx";
import { useCatalogue } from "./catalogue.ts";
import { Films } from "./Films.tsx";
import { Impressions } from "./Impressions.tsx";
import { KeptPanel } from "./Kept.tsx";
import { useLabelOf } from "./keys.ts";
import { Missed } from "./Missed.tsx";
import { Keyed } from "./Panel.tsx";
import { imageOf } from "./places.ts";
import { PatientBanner } from "./PatientBanner.tsx";
import { PreviewDialog } from "./Preview.tsx";
import { Question } from "./Question.tsx";
import { comparisonWith, ReportPane } from "./ReportPane.tsx";
import { SignSheet } from "./Signing.tsx";
import { useCommands } from "./useCommands.ts";
import { useEvents } from "./useEvents.ts";
import { pictureOf, useHanging } from "./useHanging.ts";
import { useReading } from "./useReading.ts";
import { useReport } from "./useReport.ts";
import { useSigning } from "./useSigning.ts";
import type { Impression } from "./types.ts";
import { unjudged } from "./verdicts.ts";
import panel from "./Panel.module.css";
import desk from "./desk.module.css";

interface CaseDeskProps {
  id: string;
  /** Of the claim; undefined while it is asked for or lost: then nothing can be stored. */
  token: number | undefined;
  onLost: (message: string) => void;
}

const PREFETCH_AFTER_MS = 1500;

export function CaseDesk({ id, token, onLost }: CaseDeskProps) {
  const { t } = useTranslation(["reader", "report"]);
  const { preferences } = useMe();
  const labelOf = useLabelOf();
  const navigate = useNavigate();
  const catalogue = useCatalogue();
  const reading = useReading(id, token, onLost);
  const { view, state } = reading;
  const hasImpression = state.impression !== null;
  const report = useReport({ id, token, isOpen: hasImpression, storedTimes: reading.storedTimes, revision: view?.item.revision, onLost });
  const hanging = useHanging(view);
  const [isAdding, setAdding] = useState(false);
  const [isPreviewing, setPreviewing] = useState(false);
  const textField = useRef<HTMLTextAreaElement>(null);
  const signing = useSigning({
    id,
    token,
    content: report.state.content,
    revision: view?.item.revision,
    isSettled: hasImpression && !reading.isStoring && report.isFresh,
    flush: reading.flush,
    goesOn: preferences.go_on ?? true,
    onLost,
    onSigned: report.dropKept,
  });
  useEvents(id, token !== undefined, hasImpression);
  usePrefetch(id, view !== undefined);
  useComparison(hanging.prior?.public_id, report, view?.priors ?? []);
  const firstFilm = useViewer((viewer) => viewer.firstFilm);
  const isUnseen = view !== undefined && (firstFilm === "failed" || hanging.shown === undefined);
  const canGive = (impression: Impression) =>
    token !== undefined && view !== undefined && (isUnseen ? impression === "cannot_tell" : firstFilm === "drawn");
  const left = unjudged(state).length;
  /** What was said last is stored before the case is left; what cannot be stored stays in memory. */
  const settle = () => Promise.allSettled([reading.flush(), report.flush()]);
  const skip = () => void settle().then(signing.skip);
  const run = useCommands({
    reading,
    hanging,
    canGive,
    isReady: hasImpression && report.state.content !== null,
    isQuiet: signing.status !== undefined || isPreviewing,
    onAdd: () => setAdding(true),
    onPreview: () => setPreviewing(true),
    onEdit: () => textField.current?.focus(),
    onSign: signing.open,
    onSkip: skip,
    onLeave: () => void settle().then(() => navigate({ to: "/worklist" })),
  });

  if (!view) return <p className={desk.waiting}>{reading.failure ?? t("loading")}</p>;
  const place = reading.places.at(-1);
  const picture = hasImpression ? pictureOf(state) : undefined;
  const beside = hanging.beside && {
    stack: hanging.beside.stack,
    isPrior: hanging.beside.prior !== undefined,
    isDoubtful: hanging.beside.prior?.identity_doubt ?? false,
    caption: hanging.beside.prior
      ? t("films.prior_of", { date: dicomDate(hanging.beside.prior.study_date) })
      : dicomDate(view.item.study_date),
  };
  return (
    <div
      className={desk.desk}
      data-testid="desk"
      data-stored={reading.isStoring ? "no" : "yes"}
      data-held={token !== undefined}
    >
      <PatientBanner view={view} />
      <Viewer
        stack={hanging.shown}
        caption={dicomDate(view.item.study_date) || t("films.current")}
        beside={beside}
        canCompare={hanging.canCompare}
        picture={picture}
        places={reading.places}
        onPlace={reading.point}
        useCpu={preferences.cpu_rendering ?? false}
        run={run}
      />
      <aside className={desk.side} aria-label={t("side")}>
        <div className={desk.scroll} tabIndex={-1}>
          <Question view={view} />
          <Films
            stacks={hanging.stacks}
            shown={hanging.shown}
            onShow={hanging.show}
            priors={view.priors}
            hung={hanging.prior?.public_id}
            onHang={hanging.hang}
          />
          <Impressions
            given={state.impression}
            places={reading.places.length}
            error={reading.impressionError}
            canGive={canGive}
            isUnseen={isUnseen}
            hasNewImages={reading.hasNewImages}
            onGive={reading.give}
          />
          <AiPanel state={state} ai={view.ai} unscored={view.unscored} step={reading.step} />
          <Missed
            state={state}
            catalogue={catalogue}
            isAdding={isAdding}
            setAdding={setAdding}
            place={place}
            image={imageOf(place, view.series)}
            onPlaceUsed={reading.unpoint}
            error={reading.verdictsError}
            step={reading.step}
          />
          {report.kept && (
            <KeptPanel
              content={report.kept}
              onTake={() => {
                if (report.kept) report.edit({ kind: "restored", content: report.kept });
                report.dropKept();
              }}
              onDrop={report.dropKept}
            />
          )}
          <ReportPane
            id={id}
            state={report.state}
            catalogue={catalogue}
            priors={view.priors}
            edit={report.edit}
            onPreview={() => setPreviewing(true)}
            textField={textField}
          />
          {report.failure && <p className={panel.warn}>{report.failure}</p>}
        </div>
        <footer className={desk.sign}>
          <Keyed
            command="sign"
            label={labelOf("sign")}
            tone="primary"
            disabled={!hasImpression || !report.state.content || token === undefined}
            onClick={() => signing.open("final")}
          >
            {t("sign.final", { ns: "report" })}
          </Keyed>
          <Keyed
            command="sign_preliminary"
            label={labelOf("sign_preliminary")}
            tone="quiet"
            disabled={!hasImpression || !report.state.content || token === undefined}
            onClick={() => signing.open("preliminary")}
          >
            {t("sign.preliminary", { ns: "report" })}
          </Keyed>
          <Keyed command="skip" label={labelOf("skip")} tone="quiet" onClick={skip}>
            {t("skip")}
          </Keyed>
        </footer>
      </aside>
      <PreviewDialog
        id={id}
        content={report.state.content}
        isOpen={isPreviewing}
        first={currentLanguage()}
        onClose={() => setPreviewing(false)}
      />
      {signing.status && !signing.isAsking && report.state.content && (
        <SignSheet
          id={id}
          content={report.state.content}
          language={currentLanguage()}
          status={signing.status}
          left={signing.status === "final" ? left : 0}
          unseen={hanging.unseen}
          isSettled={hasImpression && !reading.isStoring && report.isFresh}
          isBusy={signing.isBusy}
          error={signing.error}
          refusedFor={signing.missing}
          onSign={signing.sign}
          onClose={signing.close}
        />
      )}
      {signing.dialog}
    </div>
  );
}

/** The likely next case comes over the line while this one is read. */
function usePrefetch(id: string, isShown: boolean): void {
  useEffect(() => {
    const next = isShown ? likelyNext(id) : null;
    if (!next) return;
    const timer = setTimeout(() => void prefetchCase(next).catch(() => undefined), PREFETCH_AFTER_MS);
    return () => clearTimeout(timer);
  }, [id, isShown]);
}

/** A prior that hung beside the film was compared with. */
function useComparison(
  hung: string | undefined,
  report: ReturnType<typeof useReport>,
  priors: Parameters<typeof comparisonWith>[0],
): void {
  const { edit, state } = report;
  const hasReport = state.content !== null;
  useEffect(() => {
    if (hung && hasReport) edit(comparisonWith(priors, hung));
  }, [hung, hasReport, edit, priors]);
}
