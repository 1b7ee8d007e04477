/** The desk of one claimed case: joins films, impression, verdicts, report and keys. */

import { useNavigate } from "@tanstack/react-router";
import { useEffect, useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import { currentLanguage } from "../app/language.ts";
import { useMe } from "../app/me.ts";
import { likelyNext, prefetchCase } from "../app/nextCase.ts";
import { useViewer } from "../viewer/store.ts";
import { Viewer } from "../viewer/Viewer.tsx";
import { AiPanel } from "./AiPanel.tsx";
import { useCatalogue } from "./catalogue.ts";
import { dateText } from "./dates.ts";
import { Films } from "./Films.tsx";
import { Impressions } from "./Impressions.tsx";
import { useLabelOf } from "./keys.ts";
import { Missed } from "./Missed.tsx";
import { Keyed } from "./Panel.tsx";
import { imageOf } from "./places.ts";
import { PatientBanner } from "./PatientBanner.tsx";
import { PreviewDialog } from "./Preview.tsx";
import { Question } from "./Question.tsx";
import { comparisonWith, ReportPane } from "./ReportPane.tsx";
import styles from "./reader.module.css";
import { ConfirmDialog, SignSheet } from "./Signing.tsx";
import { useCommands } from "./useCommands.ts";
import { useEvents } from "./useEvents.ts";
import { pictureOf, useHanging } from "./useHanging.ts";
import { useReading } from "./useReading.ts";
import { useReport } from "./useReport.ts";
import { useSigning } from "./useSigning.ts";
import { unjudged } from "./verdicts.ts";

interface CaseDeskProps {
  id: string;
  /** Of the claim; undefined while it is asked for or lost: then nothing can be stored. */
  token: number | undefined;
  onLost: (message: string) => void;
}

const PREFETCH_AFTER_MS = 1500;

export function CaseDesk({ id, token, onLost }: CaseDeskProps) {
  const { t, i18n } = useTranslation(["reader", "report"]);
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
  });
  useEvents(id, token !== undefined, hasImpression);
  usePrefetch(id, view !== undefined);
  useComparison(hanging.prior?.public_id, report, view?.priors ?? []);
  const hasSettledFilm = useViewer((viewer) => viewer.hasSettledFilm);
  const canGive = token !== undefined && view !== undefined && (hasSettledFilm || hanging.shown === undefined);
  const left = unjudged(state).length;
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
    onSkip: () => signing.goOn(id),
    onLeave: () => void navigate({ to: "/worklist" }),
  });

  if (!view) return <p className={styles.waiting}>{reading.failure ?? t("loading")}</p>;
  const place = reading.places.at(-1);
  const picture = hasImpression ? pictureOf(state) : undefined;
  const beside = hanging.beside && {
    stack: hanging.beside.stack,
    isPrior: hanging.beside.prior !== undefined,
    isDoubtful: hanging.beside.prior?.identity_doubt ?? false,
    caption: hanging.beside.prior
      ? t("films.prior_of", { date: dateText(hanging.beside.prior.study_date, i18n.language) })
      : dateText(view.item.study_date, i18n.language),
  };
  return (
    <div
      className={styles.desk}
      data-testid="desk"
      data-stored={reading.isStoring ? "no" : "yes"}
      data-held={token !== undefined}
    >
      <PatientBanner view={view} />
      <Viewer
        stack={hanging.shown}
        caption={dateText(view.item.study_date, i18n.language) || t("films.current")}
        beside={beside}
        canCompare={hanging.canCompare}
        picture={picture}
        places={reading.places}
        onPlace={reading.point}
        useCpu={preferences.cpu_rendering ?? false}
        run={run}
      />
      <aside className={styles.side} aria-label={t("side")}>
        <div className={styles.scroll} tabIndex={-1}>
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
          <ReportPane
            id={id}
            state={report.state}
            catalogue={catalogue}
            priors={view.priors}
            edit={report.edit}
            onPreview={() => setPreviewing(true)}
            textField={textField}
          />
          {report.failure && <p className={styles.warn}>{report.failure}</p>}
        </div>
        <footer className={styles.sign}>
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
          <Keyed command="skip" label={labelOf("skip")} tone="quiet" onClick={() => signing.goOn(id)}>
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
      {signing.status && !signing.needsConfirmation && report.state.content && (
        <SignSheet
          id={id}
          content={report.state.content}
          language={currentLanguage()}
          status={signing.status}
          left={signing.status === "final" ? left : 0}
          isSettled={hasImpression && !reading.isStoring && report.isFresh}
          isBusy={signing.isBusy}
          error={signing.error}
          refusedFor={signing.missing}
          onSign={signing.sign}
          onClose={signing.close}
        />
      )}
      {signing.needsConfirmation && (
        <ConfirmDialog
          error={signing.error}
          onConfirm={signing.confirm}
          onProved={signing.proved}
          onClose={signing.close}
        />
      )}
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
