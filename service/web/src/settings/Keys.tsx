/** Keys that may be changed: press the button, then the key. A key that has its work already is refused. */
import { Button, Kbd } from "@mantine/core";
import { type KeyboardEvent, useState } from "react";
import { useTranslation } from "react-i18next";
import { keyCap } from "../app/KeysHelp.tsx";
import { keysOf, nameOf } from "../app/keys.ts";
import { useMe } from "../app/me.ts";
import { type Bound, BOUND, obstacle, withKey } from "./changeable.ts";
import { keep } from "./SettingsPage.tsx";

const MODIFIERS = new Set(["Shift", "Control", "Alt", "Meta"]);
const CHANGEABLE = BOUND.filter((one) => !one.isFixed);
const GROUPS = [...new Set(CHANGEABLE.map(({ group }) => group))];

/** The words' names are put together from codes, all of which have one. */
type Word = "worklist:title";

export function Keys() {
  const { t } = useTranslation("settings");
  const { preferences } = useMe();
  const own = preferences.keys ?? {};
  const [refusal, setRefusal] = useState<{ id: string; words: string } | null>(null);
  const set = (keys: Record<string, string>) => void keep({ preferences: { ...preferences, keys } });
  const change = (action: Bound, key: string) => {
    const holder = obstacle(action, key, own);
    if (holder === null) set(withKey(action, key, own));
    const words = { key: keyCap(key), action: holder === null || holder === "reserved" ? "" : t(holder.word as Word) };
    setRefusal(holder && { id: action.id, words: t(holder === "reserved" ? "keys.reserved" : "keys.taken", words) });
  };
  return (
    <section>
      <h2>{t("keys")}</h2>
      <p className="quiet">{t("keys.how")}</p>
      {GROUPS.map((group) => (
        <div key={group} role="group" aria-label={t(group as Word)}>
          <h3>{t(group as Word)}</h3>
          <dl className="settings-keys">
            {CHANGEABLE.filter((one) => one.group === group).map((action) => (
              <KeyRow
                key={action.id} action={action} shown={keysOf(action, own)[0] ?? ""} onKey={(key) => change(action, key)}
                refusal={refusal?.id === action.id ? refusal.words : ""}
              />
            ))}
          </dl>
        </div>
      ))}
      {Object.keys(own).length > 0 && (
        <Button size="compact-sm" variant="subtle" onClick={() => set({})}>
          {t("keys.reset")}
        </Button>
      )}
    </section>
  );
}

interface RowProps {
  action: Bound;
  shown: string;
  onKey: (key: string) => void;
  /** Why the key that was pressed last cannot be had. */
  refusal: string;
}

function KeyRow({ action, shown, onKey, refusal }: RowProps) {
  const { t } = useTranslation("settings");
  const [isAsking, setAsking] = useState(false);
  const press = (event: KeyboardEvent) => {
    if (!isAsking || MODIFIERS.has(event.key)) return;
    event.preventDefault();
    event.stopPropagation();
    setAsking(false);
    if (event.key !== "Escape") onKey(nameOf(event.nativeEvent));
  };
  return (
    <div data-key-of={action.id}>
      <dt>{t(action.word as Word)}</dt>
      <dd>
        <Button size="compact-sm" variant="default" onClick={() => setAsking(true)} onKeyDown={press} onBlur={() => setAsking(false)}>
          {isAsking ? t("keys.press") : <Kbd size="xs">{keyCap(shown)}</Kbd>}
        </Button>
        <p role="alert" className="settings-refusal">
          {refusal}
        </p>
      </dd>
    </div>
  );
}
