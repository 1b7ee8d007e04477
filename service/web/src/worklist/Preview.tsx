/** One study beside the list: what is known of it, and what this person may do with it. */
import { Button, NativeSelect } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { ask } from "../api.ts";
import { dicomDate, moment, personName, sexAge } from "../app/format.ts";
import { currentLanguage, wordsFor } from "../app/language.ts";
import { useMe } from "../app/me.ts";
import { isAgain } from "../app/queries.ts";
import { showRefusal } from "../app/refusals.ts";
import { TakeOver } from "../app/TakeOver.tsx";
import type { Decision, Item, ItemDetail, Priority } from "../shapes.ts";
import { Runs } from "./Runs.tsx";

interface Props {
  id: string;
  mayRead: boolean;
  close: () => void;
  open: (item: Item) => void;
}

export function Preview({ id, mayRead, close, open }: Props) {
  const { t } = useTranslation("worklist");
  const queryKey = ["worklist", "item", id];
  const { data: item } = useQuery({
    queryKey,
    queryFn: () => ask<ItemDetail>(`/api/worklist/${id}`, { background: isAgain(queryKey) }),
  });
  return (
    <aside className="preview" aria-labelledby="preview-name">
      {item && (
        <>
          <header>
            <div>
              <h2 id="preview-name">{personName(item.patient_name, currentLanguage()) || t("common:unknown")}</h2>
              <p className="quiet">{sexAge(t, item.patient_sex, item.age_years)}</p>
            </div>
            <Button size="compact-sm" variant="subtle" color="gray" onClick={close}>
              {t("common:close")}
            </Button>
          </header>
          {mayRead && (
            <Button fullWidth onClick={() => open(item)} disabled={item.claim !== null && !item.claim.mine}>
              {item.claim && !item.claim.mine ? t("claim.by", { name: item.claim.by }) : t("keys.read")}
            </Button>
          )}
          {item.claim && !item.claim.mine && <TakeOver id={id} onTaken={() => open({ ...item, claim: null })} />}
          <Facts item={item} />
          <State item={item} />
          {item.routing.length > 0 && <Routing decisions={item.routing} />}
          <Actions item={item} />
          {item.runs.length > 0 && <Runs item={item} />}
        </>
      )}
    </aside>
  );
}

function Facts({ item }: { item: ItemDetail }) {
  const { t } = useTranslation("worklist");
  const zone = useMe().time_zone;
  const facts: [string, string | null][] = [
    [t("common:detail.patient_id"), item.patient_id],
    [t("common:detail.accession"), item.accession_number],
    [t("common:detail.study_date"), dicomDate(item.study_date)],
    [t("common:detail.modality"), item.modalities.join(" ")],
    [t("common:detail.description"), item.study_description],
    [t("common:detail.instances"), String(item.instance_count)],
    [t("by.site"), item.site.name],
    [t("common:detail.received"), moment(item.first_image_at, zone)],
    [t("common:detail.settled"), moment(item.settled_at, zone)],
    [t("common:detail.scored"), moment(item.scored_at, zone)],
    [t("common:detail.flags"), item.flags.map((flag) => wordsFor("common", "flag", flag.split(":")[0] ?? flag)).join(", ")],
  ];
  return (
    <dl className="facts">
      {facts
        .filter(([, value]) => value)
        .map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
    </dl>
  );
}

/** Why it is as urgent as it is, and waited for as long: which routing rule decided that. */
function Routing({ decisions }: { decisions: readonly Decision[] }) {
  const { t } = useTranslation("worklist");
  const valueOf = ({ effect, value }: Decision) => {
    if (effect === "priority") return t(`common:priority.${value as Priority}`);
    if (effect === "reading_policy") return t(value === "blind" ? "routing.blind" : "routing.triage");
    return t(effect.startsWith("due_minutes") ? "routing.minutes" : "routing.seconds", { n: value });
  };
  return (
    <section>
      <h3>{t("routing.title")}</h3>
      <dl className="facts">
        {decisions.map((one) => (
          <div key={one.effect}>
            <dt>{wordsFor("worklist", "routing", one.effect)}</dt>
            <dd>
              {valueOf(one)} · {one.rule} <small className="quiet">{t("routing.revision", { n: one.revision })}</small>
            </dd>
          </div>
        ))}
      </dl>
    </section>
  );
}

function State({ item }: { item: ItemDetail }) {
  const { t } = useTranslation();
  if (item.state === "unscored") {
    return (
      <div className="because">
        <b>{item.reason ? wordsFor("common", "reason", item.reason) : "?"}</b>
        <p>{t("unscored.read")}</p>
      </div>
    );
  }
  return (
    <p>
      <span className={`state-${item.state}`}>{t(`state.${item.state}`)}</span>
      {item.failure && <span className="unscored"> {t("findings.incomplete", { why: wordsFor("common", "reason", item.failure) })}</span>}
    </p>
  );
}

function Actions({ item }: { item: ItemDetail }) {
  const { t } = useTranslation();
  const may = useMe().permissions;
  const queries = useQueryClient();
  const act = async (path: string, body?: unknown) => {
    try {
      await ask(`/api/worklist/${item.public_id}/${path}`, { method: "POST", body });
      notifications.show({ message: t("action.done") });
      await queries.invalidateQueries({ queryKey: ["worklist"] });
    } catch (error) {
      showRefusal(error);
    }
  };
  const priorities: Priority[] = ["stat", "urgent", "routine"];
  return (
    <div className="actions">
      {may.includes("send_studies") && (
        <NativeSelect
          size="xs"
          label={t("action.priority")}
          value={priorities[item.center_priority - 1]}
          data={priorities.map((one) => ({ value: one, label: t(`priority.${one}`) }))}
          onChange={(event) => void act("priority", { priority: event.currentTarget.value })}
        />
      )}
      {may.includes("run_service") && <Twice words={t("action.restart")} act={() => act("restart")} />}
      {may.includes("run_service") && item.state === "settled" && <Twice words={t("action.cancel")} act={() => act("cancel")} />}
    </div>
  );
}

/** A button that acts on its second press. */
function Twice({ words, act }: { words: string; act: () => Promise<void> }) {
  const { t } = useTranslation();
  const [armed, setArmed] = useState(false);
  const press = () => {
    setArmed(!armed);
    if (armed) void act();
  };
  return (
    <Button size="xs" variant="default" onClick={press} className={armed ? "armed" : ""}>
      {armed ? t("action.confirm") : words}
    </Button>
  );
}
