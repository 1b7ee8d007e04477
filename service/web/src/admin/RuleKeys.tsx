/** What a rule may ask for and what it may set, and a set of rules to begin with. */
import { Button } from "@mantine/core";
import { useTranslation } from "react-i18next";
import { wordsFor } from "../app/language.ts";

/** Every fact and effect with how it is written; the service's own list, held against this one by a test. */
export const FACTS: Record<string, string> = {
  site: 'site = "hanoi-1"',
  sender: 'sender = ["HANOI_ER*", "HANOI_ICU"]',
  door: 'door = ["dimse", "stow", "upload"]',
  requested_priority: 'requested_priority = "urgent"',
  modality: 'modality = ["CR", "DX"]',
  sop_class: 'sop_class = "*Computed Radiography*"',
  transfer_syntax: 'transfer_syntax = "JPEG*"',
  image_type: 'image_type = "DERIVED"',
  body_part: 'body_part = "*chest*"',
  view_position: 'view_position = "PA"',
  laterality: 'laterality = "L"',
  study_description: 'study_description = "*trauma*"',
  series_description: 'series_description = "*lung*"',
  protocol_name: 'protocol_name = "*lowdose*"',
  station_name: 'station_name = "MOBILE*"',
  manufacturer: 'manufacturer = "*Fuji*"',
  model_name: 'model_name = "DR*"',
  sex: 'sex = "F"',
  age_years: "age_years = { from = 18, below = 65 }",
};
export const EFFECTS: Record<string, string> = {
  priority: 'priority = "urgent"',
  due_minutes: "due_minutes = { stat = 30, urgent = 60 }",
  reading_policy: 'reading_policy = "blind"',
  packages: "packages = []",
  add_packages: 'add_packages = ["chest_xray"]',
  quiet_s: "quiet_s = 10",
  partial_after_s: "partial_after_s = 600",
};

export function useExample(): string {
  const { t } = useTranslation("admin");
  return `# ${t("rules.example.first")}
[[rule]]
name = "${t("rules.example.emergency")}"
[rule.when]
${FACTS["study_description"]}
${FACTS["age_years"]}
[rule.then]
priority = "urgent"
due_minutes = { urgent = 60 }
quiet_s = 10

[[rule]]
name = "${t("rules.example.mobile")}"
[rule.when]
${FACTS["station_name"]}
[rule.then]
packages = []

[[rule]]
name = "${t("rules.example.trial")}"
[rule.when]
study_description = "*trial*"
[rule.then]
reading_policy = "blind"
`;
}

export function RuleKeys({ insertExample }: { insertExample: () => void }) {
  const { t } = useTranslation("admin");
  return (
    <details className="rules-keys">
      <summary>{t("rules.keys")}</summary>
      <p className="quiet">{t("rules.keys_how")}</p>
      <Keys title={t("rules.when")} group="rules.key" keys={FACTS} />
      <Keys title={t("rules.then")} group="rules.effect" keys={EFFECTS} />
      <Button size="xs" variant="default" onClick={insertExample}>
        {t("rules.example")}
      </Button>
    </details>
  );
}

function Keys({ title, group, keys }: { title: string; group: string; keys: Record<string, string> }) {
  return (
    <>
      <h3>{title}</h3>
      <dl>
        {Object.entries(keys).map(([key, written]) => (
          <div key={key}>
            <dt>
              <code>{written}</code>
            </dt>
            <dd>{wordsFor("admin", group, key)}</dd>
          </div>
        ))}
      </dl>
    </>
  );
}
