/** One study to read. Unknown is never shown as normal. */
import { useTranslation } from "react-i18next";
import { ago, dicomDate, hourAt, hourBeside, personName, sexAge, span, zonePlace } from "../app/format.ts";
import { currentLanguage } from "../app/language.ts";
import type { Item } from "../shapes.ts";
import { Said } from "./Said.tsx";

interface Props {
  item: Item;
  now: number;
  timeZone: string;
}

export function Row({ item, now, timeZone }: Props) {
  const { t } = useTranslation("worklist");
  const name = personName(item.patient_name, currentLanguage()) || t("common:unknown");
  return (
    <>
      <div role="gridcell" className="cell-priority">
        <span className={`word priority-${item.priority}`}>{t(`common:priority.${item.priority}`)}</span>
        <Why item={item} />
      </div>
      <div role="gridcell">
        <Due item={item} now={now} timeZone={timeZone} />
      </div>
      <div role="gridcell" className="cell-patient">
        <b className="name">{name}</b>
        <small className="numbers">{item.patient_id ?? "–"}</small>
      </div>
      <div role="gridcell">{sexAge(t, item.patient_sex, item.age_years)}</div>
      <div role="gridcell" className="cell-study">
        <span>
          <b>{item.modalities.join(" ") || "–"}</b> <span className="numbers">{dicomDate(item.study_date)}</span>
        </span>
        <small>{[item.study_description, t("common:images", { count: item.instance_count })].filter(Boolean).join(" · ")}</small>
      </div>
      <div role="gridcell" className="cell-said">
        <Said item={item} />
      </div>
      <div role="gridcell" className="cell-reading">
        <Reading item={item} />
      </div>
      <div role="gridcell" className="cell-site">
        <span>{item.site.name}</span>
        <small>{ago(t, now - item.first_image_at)}</small>
      </div>
    </>
  );
}

function Why({ item }: { item: Item }) {
  const { t } = useTranslation();
  const isRaised = item.ai_priority !== null && item.ai_priority < item.center_priority;
  if (item.waited_too_long) return <small className="priority-stat">{t("priority.waited")}</small>;
  if (isRaised) return <small className="priority-urgent">{t("priority.by_ai")}</small>;
  return null;
}

/** How long is left, and the hour of it here and at the center. */
export function Due({ item, now, timeZone }: { item: Item; now: number; timeZone: string }) {
  const { t } = useTranslation();
  const leftS = item.due_at - now;
  const how = leftS < 0 ? "over" : leftS < 3600 ? "soon" : "calm";
  const words = t(leftS >= 0 ? "due.left" : "due.over", { time: span(t, Math.abs(leftS)) });
  const here = hourAt(item.due_at, now, timeZone);
  const there = hourBeside(item.due_at, timeZone, item.site.time_zone);
  return (
    <span className={`due due-${how}`}>
      <b>{words}</b>
      <small className="numbers">
        {here}
        {!here.endsWith(there) && <span title={item.site.time_zone}> · {zonePlace(item.site.time_zone)} {there}</span>}
      </small>
    </span>
  );
}

/** Who reads it and how far it is. */
export function Reading({ item }: { item: Item }) {
  const { t } = useTranslation("worklist");
  return (
    <>
      {item.claim ? (
        <span className={item.claim.mine ? "claim claim-mine" : "claim"}>
          {item.claim.mine ? t("claim.mine") : t("claim.by", { name: item.claim.by })}
        </span>
      ) : (
        <span className={item.reading === "new" ? "quiet" : ""}>{t(`reading.${item.reading}`)}</span>
      )}
      {item.claim && item.reading !== "new" && <small>{t(`reading.${item.reading}`)}</small>}
      {item.has_question && <small className="question">{t("question")}</small>}
    </>
  );
}
