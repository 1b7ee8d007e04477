/** What the service's rule table proposes for the findings as they stand; one click takes it over. */

import { useDebouncedValue } from "@mantine/hooks";
import { useTranslation } from "react-i18next";
import { type Catalogue, nameIn } from "./catalogue.ts";
import { usePreview } from "./Preview.tsx";
import type { Content, Follow } from "./report.ts";
import styles from "./ReportPane.module.css";

const SETTLED_MS = 900;

interface ProposedProps {
  id: string;
  content: Content;
  catalogue: Catalogue;
  onTake: (follow: Follow) => void;
}

export function Proposed({ id, content, catalogue, onTake }: ProposedProps) {
  const { t } = useTranslation("report");
  const [settled] = useDebouncedValue(content, SETTLED_MS);
  const { data } = usePreview(id, settled, true);
  const proposed = data?.proposed;
  if (!proposed || settled !== content || !isNew(proposed, content)) return null;
  const names = [
    ...proposed.recommendations.map((code) => nameIn(catalogue.recommendations, code)),
    ...proposed.departments.map((code) => nameIn(catalogue.departments, code)),
    ...(proposed.critical_category ? [nameIn(catalogue.critical_categories, String(proposed.critical_category))] : []),
  ];
  return (
    <div className={styles.proposed} data-testid="proposed">
      <span>{names.join(" · ")}</span>
      <button type="button" onClick={() => onTake(proposed)}>
        {t("proposed")}
      </button>
    </div>
  );
}

/** Something is proposed that the report does not say yet. */
function isNew(proposed: Follow, content: Content): boolean {
  const lacks = (wanted: readonly string[], given: readonly string[]) => wanted.some((code) => !given.includes(code));
  return (
    lacks(proposed.recommendations, content.recommendations) ||
    lacks(proposed.departments, content.departments) ||
    (proposed.critical_category !== null && proposed.critical_category !== content.critical_category)
  );
}
