/** One study of the center: how far it is, what was asked, and the report. */
import { Button, Textarea } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { useQuery } from "@tanstack/react-query";
import { Link, useParams } from "@tanstack/react-router";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { ask } from "../api.ts";
import { dicomDate, moment, personName, sexAge } from "../app/format.ts";
import { currentLanguage } from "../app/language.ts";
import { useMe } from "../app/me.ts";
import { isAgain, queries } from "../app/queries.ts";
import { showRefusal } from "../app/refusals.ts";
import { ReportView } from "../reports/ReportPage.tsx";
import type { CenterStudy } from "../shapes.ts";
import { Attention, Stage } from "./Stage.tsx";
import "./center.css";

export default function CenterStudyPage() {
  const { t } = useTranslation("center");
  const { id } = useParams({ from: "/inside/center/$id" });
  const queryKey = ["center", "study", id];
  const { data: study, error } = useQuery({
    queryKey,
    queryFn: () => ask<CenterStudy>(`/api/center/studies/${id}`, { background: isAgain(queryKey) }),
    refetchInterval: 15_000,
  });
  if (error) throw error;
  if (!study) return <p className="notice-page quiet">{t("common:loading")}</p>;
  return (
    <div className="center center-study">
      <p>
        <Link to="/center">← {t("title")}</Link>
      </p>
      <header>
        <h1>{personName(study.patient.name, currentLanguage()) || t("common:unknown")}</h1>
        <span className="quiet">
          {study.patient.id} · {sexAge(t, study.patient.sex, study.patient.age_years)}
        </span>
        <Stage stage={study.stage} />
      </header>
      <Attention attention={study.attention} />
      <div className="center-parts">
        <Course study={study} />
        <Question study={study} />
      </div>
      {study.report ? <ReportView key={study.report.version} id={study.report.public_id} /> : <p className="quiet">{t("no_report")}</p>}
    </div>
  );
}

/** What happened so far, in order. */
function Course({ study }: { study: CenterStudy }) {
  const { t } = useTranslation("center");
  const zone = useMe().time_zone;
  const steps: [string, number | null][] = [
    [t("course.first_image"), study.first_image_at],
    [t("course.complete"), study.complete_at],
    [t("course.report"), study.report?.signed_at ?? null],
  ];
  return (
    <section>
      <h2>
        {study.modalities.join(" ")} {dicomDate(study.study_date)} {study.description}
      </h2>
      <p className="quiet">
        {t("common:images", { count: study.images })} · {t(`common:priority.${study.priority}`)}
        {study.due_at !== null && !study.report && ` · ${t("course.due", { time: moment(study.due_at, zone) })}`}
      </p>
      <ol className="course">
        {steps.map(([words, at]) => (
          <li key={words} className={at === null ? "" : "done"}>
            {words}
            <span className="quiet numbers">{at === null ? "–" : moment(at, zone)}</span>
          </li>
        ))}
      </ol>
    </section>
  );
}

function Question({ study }: { study: CenterStudy }) {
  const { t } = useTranslation("center");
  const mayAsk = useMe().permissions.includes("send_studies");
  const [question, setQuestion] = useState(study.question?.question ?? "");
  const [history, setHistory] = useState(study.question?.history ?? "");
  const isSame = question === (study.question?.question ?? "") && history === (study.question?.history ?? "");
  const save = async () => {
    try {
      const body = { study_instance_uid: study.study_instance_uid, question, history, language: currentLanguage() };
      await ask("/api/center/questions", { method: "POST", body });
      notifications.show({ message: t("common:saved") });
      await queries.invalidateQueries({ queryKey: ["center"] });
    } catch (error) {
      showRefusal(error);
    }
  };
  return (
    <section className="center-question">
      <Textarea
        label={t("upload:question")} autosize minRows={2} maxLength={4000} readOnly={!mayAsk}
        value={question} onChange={(event) => setQuestion(event.currentTarget.value)}
      />
      <Textarea
        label={t("upload:history")} autosize minRows={2} maxLength={4000} readOnly={!mayAsk}
        value={history} onChange={(event) => setHistory(event.currentTarget.value)}
      />
      {mayAsk && (
        <Button size="xs" variant="default" disabled={isSame || !(question.trim() || history.trim())} onClick={() => void save()}>
          {t("common:save")}
        </Button>
      )}
    </section>
  );
}
