/** The form for a new account; it answers with the person's first link. */
import { Button, Modal, NativeSelect, TextInput } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { useTranslation } from "react-i18next";
import { ask } from "../api.ts";
import { type Language, LANGUAGE_CODES, LANGUAGES } from "../app/language.ts";
import { refusalWords } from "../app/refusals.ts";

const ROLES = ["radiologist", "chief_radiologist", "site_physician", "site_uploader", "ml_engineer", "administrator", "auditor"] as const;
const OF_A_SITE = new Set(["site_physician", "site_uploader"]);

interface Props {
  close: () => void;
  added: (given: { link: string; login: string }) => void;
}

export function NewAccount({ close, added }: Props) {
  const { t } = useTranslation("admin");
  const [login, setLogin] = useState("");
  const [name, setName] = useState("");
  const [role, setRole] = useState<string>("radiologist");
  const [site, setSite] = useState("");
  const [language, setLanguage] = useState<Language>("ko");
  const [licence, setLicence] = useState("");
  const [policy, setPolicy] = useState("");
  const [trouble, setTrouble] = useState("");
  const { data } = useQuery({ queryKey: ["sites"], queryFn: () => ask<{ sites: { code: string; name: string }[] }>("/api/sites") });
  const sites = data?.sites ?? [];
  const needsSite = OF_A_SITE.has(role);
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    const code = site || (needsSite ? sites[0]?.code : "");
    const body = {
      login, name, role, language,
      ...(code ? { site: code } : {}), ...(licence ? { licence_number: licence } : {}), ...(policy ? { reading_policy: policy } : {}),
    };
    try {
      const { link } = await ask<{ link: string }>("/api/accounts", { method: "POST", body });
      added({ link, login });
    } catch (error) {
      setTrouble(refusalWords(error));
    }
  };
  return (
    <Modal opened onClose={close} title={t("account.add")} size="md">
      <form className="door-form" onSubmit={(event) => void submit(event)}>
        <TextInput label={t("access:login")} required withAsterisk={false} data-autofocus value={login} onChange={(event) => setLogin(event.currentTarget.value)} />
        <TextInput label={t("account.name")} required withAsterisk={false} value={name} onChange={(event) => setName(event.currentTarget.value)} />
        <NativeSelect
          label={t("account.role")} value={role} onChange={(event) => setRole(event.currentTarget.value)}
          data={ROLES.map((one) => ({ value: one, label: t(`common:role.${one}`) }))}
        />
        <NativeSelect
          label={t("worklist:by.site")} value={site} onChange={(event) => setSite(event.currentTarget.value)}
          data={[...(needsSite ? [] : [{ value: "", label: t("account.all_sites") }]), ...sites.map((one) => ({ value: one.code, label: one.name }))]}
        />
        <NativeSelect
          label={t("common:nav.language")} value={language} onChange={(event) => setLanguage(event.currentTarget.value as Language)}
          data={LANGUAGE_CODES.map((code) => ({ value: code, label: LANGUAGES[code] }))}
        />
        {role.endsWith("radiologist") && (
          <>
            <TextInput label={t("account.licence")} value={licence} onChange={(event) => setLicence(event.currentTarget.value)} />
            <NativeSelect
              label={t("account.policy")} value={policy} onChange={(event) => setPolicy(event.currentTarget.value)}
              data={["", "triage", "blind"].map((value) => ({ value, label: t(value ? `account.policy.${value}` : "account.policy.site") }))}
            />
          </>
        )}
        <p role="alert" className="door-trouble">
          {trouble}
        </p>
        <Button type="submit">{t("account.add")}</Button>
      </form>
    </Modal>
  );
}
