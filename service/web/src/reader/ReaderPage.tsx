/** Where a case is read: films on the left, what is said of them on the right. */

import { useNavigate, useParams } from "@tanstack/react-router";
import { useCallback, useEffect, useState } from "react";
import { useTranslation } from "react-i18next";
import { handClaim } from "../app/claims.ts";
import { useMe } from "../app/me.ts";
import { TakeOver } from "../app/TakeOver.tsx";
import { useViewer } from "../viewer/store.ts";
import { CaseDesk } from "./CaseDesk.tsx";
import { Keyed } from "./Panel.tsx";
import { KeptText } from "./Kept.tsx";
import { keptWords } from "./kept.ts";
import { type Held, useClaim } from "./useClaim.ts";
import panel from "./Panel.module.css";
import desk from "./desk.module.css";

export default function ReaderPage() {
  const { id } = useParams({ strict: false }) as { id: string };
  // A new case is a new desk: nothing of the last one may stay on it.
  return <Claimed key={id} id={id} />;
}

function Claimed({ id }: { id: string }) {
  const { preferences } = useMe();
  const [attempt, setAttempt] = useState(0);
  const held = useClaim(id, attempt);
  const [lost, setLost] = useState<string>();
  const startCase = useViewer((state) => state.startCase);
  const isOverlayLiked = preferences.overlay_shown ?? false;
  const opacity = preferences.overlay_opacity;

  useEffect(() => startCase(isOverlayLiked, opacity), [startCase, isOverlayLiked, opacity]);
  const onLost = useCallback((message: string) => setLost(message), []);
  const again = () => {
    setLost(undefined);
    setAttempt((before) => before + 1);
  };

  const trouble = lost !== undefined ? ({ state: "lost", message: lost } as const) : held;
  if (trouble.state === "taken" || trouble.state === "failed") return <Refusal id={id} held={trouble} onAgain={again} />;
  return (
    <>
      {trouble.state === "lost" && <Refusal id={id} held={trouble} onAgain={again} />}
      <CaseDesk
        key={attempt}
        id={id}
        token={held.state === "held" && lost === undefined ? held.token : undefined}
        onLost={onLost}
      />
    </>
  );
}

interface RefusalProps {
  id: string;
  held: Exclude<Held, { state: "asking" | "held" }>;
  onAgain: () => void;
}

function Refusal({ id, held, onAgain }: RefusalProps) {
  const { t } = useTranslation("reader");
  const navigate = useNavigate();
  const kept = keptWords(useMe().public_id, id);
  return (
    <div
      className={held.state === "lost" ? desk.lost : desk.refused}
      role="alert"
      data-testid={`claim-${held.state}`}
    >
      <strong>{t(`claim.${held.state}`)}</strong>
      <p>{held.message}</p>
      {kept && (
        <div className={desk.kept} data-testid="kept-words">
          <p>{t("claim.kept")}</p>
          <KeptText content={kept} />
        </div>
      )}
      <div className={panel.row}>
        <Keyed label="" tone="primary" onClick={onAgain}>
          {t("claim.again")}
        </Keyed>
        <Keyed label="" tone="quiet" onClick={() => void navigate({ to: "/worklist" })}>
          {t("claim.to_list")}
        </Keyed>
      </div>
      {held.state === "taken" && (
        <TakeOver
          id={id}
          onTaken={(claim) => {
            handClaim(id, claim);
            onAgain();
          }}
        />
      )}
    </div>
  );
}
