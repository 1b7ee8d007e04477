/** What a person sets for themselves: language, time zone, reading, keys, password, second factor. */
import { Autocomplete, NativeSelect, Slider, Switch } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { PasswordForm } from "../access/PasswordForm.tsx";
import { ask } from "../api.ts";
import { moment } from "../app/format.ts";
import { changeLanguage, isLanguage, LANGUAGE_CODES, LANGUAGES } from "../app/language.ts";
import { meOptions, type Preferences, useMe } from "../app/me.ts";
import { queries } from "../app/queries.ts";
import { showRefusal } from "../app/refusals.ts";
import { Keys } from "./Keys.tsx";
import { SecondFactor } from "./SecondFactor.tsx";
import "./settings.css";

/** Keeps a change at the service, so that it follows the person to another machine. */
export async function keep(change: { language?: string; time_zone?: string; preferences?: Preferences }): Promise<void> {
  try {
    await ask("/api/me/preferences", { method: "PUT", body: change });
    await queries.refetchQueries(meOptions);
  } catch (error) {
    showRefusal(error);
  }
}

export default function SettingsPage() {
  const { t } = useTranslation("settings");
  const me = useMe();
  const isReader = me.permissions.includes("read_cases");
  return (
    <div className="settings">
      <h1>{t("title")}</h1>
      <Place />
      {isReader && <Reading />}
      {isReader && <Keys />}
      <section>
        <h2>{t("security")}</h2>
        <div className="settings-two">
          <PasswordForm
            asksCurrent={me.has_password}
            asksCode={me.has_totp}
            done={async () => {
              notifications.show({ message: t("common:saved") });
              await queries.refetchQueries(meOptions);
            }}
          />
          <SecondFactor />
        </div>
      </section>
    </div>
  );
}

function Place() {
  const { t } = useTranslation("settings");
  const me = useMe();
  const zones = Intl.supportedValuesOf("timeZone");
  const own = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const [zone, setZone] = useState(me.time_zone ?? own);
  return (
    <section>
      <h2>{t("place")}</h2>
      <div className="settings-two">
        <NativeSelect
          label={t("common:nav.language")}
          value={me.language ?? "ko"}
          data={LANGUAGE_CODES.map((code) => ({ value: code, label: LANGUAGES[code] }))}
          onChange={(event) => {
            const language = event.currentTarget.value;
            if (isLanguage(language)) void keep({ language }).then(() => changeLanguage(language));
          }}
        />
        <Autocomplete
          label={t("time_zone")}
          description={t("time_now", { time: moment(me.now, zones.includes(zone) ? zone : own) })}
          data={zones}
          limit={30}
          value={zone}
          onChange={setZone}
          onOptionSubmit={(value) => void keep({ time_zone: value })}
          onBlur={() => zones.includes(zone) && zone !== me.time_zone && void keep({ time_zone: zone })}
        />
      </div>
    </section>
  );
}

function Reading() {
  const { t } = useTranslation("settings");
  const { preferences: own, reading_policy: policy } = useMe();
  const set = (change: Preferences) => keep({ preferences: { ...own, ...change } });
  const [opacity, setOpacity] = useState(Math.round(100 * (own.overlay_opacity ?? 0.5)));
  return (
    <section>
      <h2>{t("reading")}</h2>
      {policy && <p className="quiet">{t(`policy.${policy}`)}</p>}
      <div className="settings-list">
        <Switch label={t("go_on")} checked={own.go_on ?? true} onChange={(event) => void set({ go_on: event.currentTarget.checked })} />
        <Switch
          label={t("overlay_shown")} description={t("overlay_shown.how")} checked={own.overlay_shown ?? false}
          onChange={(event) => void set({ overlay_shown: event.currentTarget.checked })}
        />
        <label className="settings-slider">
          <span>{t("overlay_opacity")}</span>
          <Slider
            min={10} max={100} step={5} value={opacity} thumbLabel={t("overlay_opacity")} label={(value) => `${value}%`}
            onChange={setOpacity} onChangeEnd={(value) => void set({ overlay_opacity: value / 100 })}
          />
        </label>
        <Switch
          label={t("cpu_rendering")} description={t("cpu_rendering.how")} checked={own.cpu_rendering ?? false}
          onChange={(event) => void set({ cpu_rendering: event.currentTarget.checked })}
        />
      </div>
    </section>
  );
}

