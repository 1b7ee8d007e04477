/** What was refused, held or broken off on arrival. */
import { Button, SegmentedControl } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { ask } from "../api.ts";
import { moment } from "../app/format.ts";
import { wordsFor } from "../app/language.ts";
import { useMe } from "../app/me.ts";
import { queries } from "../app/queries.ts";
import { showRefusal } from "../app/refusals.ts";

interface Problem {
  id: number;
  occurred_at: number;
  door: string;
  sender: string | null;
  kind: string;
  reason: string | null;
  detail: string | null;
  study_instance_uid: string | null;
  resolved_at: number | null;
  resolution: string | null;
}

export function Problems() {
  const { t } = useTranslation("admin");
  const me = useMe();
  const [state, setState] = useState("open");
  const { data } = useQuery({
    queryKey: ["problems", state],
    queryFn: () => ask<{ problems: Problem[] }>("/api/problems", { query: { state, limit: 200 } }),
    refetchInterval: 15_000,
  });
  const resolve = async (id: number) => {
    try {
      await ask(`/api/problems/${id}/resolve`, { method: "POST", body: { resolution: "seen" } });
      await queries.invalidateQueries({ queryKey: ["problems"] });
    } catch (error) {
      showRefusal(error);
    }
  };
  const problems = data?.problems ?? [];
  return (
    <section>
      <div className="admin-bar">
        <SegmentedControl
          size="xs" aria-label={t("problem.which")} value={state} onChange={setState}
          data={["open", "resolved"].map((value) => ({ value, label: t(`problem.${value as "open" | "resolved"}`) }))}
        />
      </div>
      {problems.length === 0 && <p className="center-empty quiet">{t("problem.none")}</p>}
      {problems.length > 0 && (
        <table className="studies">
          <thead>
            <tr>
              <th scope="col">{t("at")}</th>
              <th scope="col">{t("problem.what")}</th>
              <th scope="col">{t("problem.sender")}</th>
              <th scope="col">{t("problem.study")}</th>
              <th scope="col">{t("account.actions")}</th>
            </tr>
          </thead>
          <tbody>
            {problems.map((one) => (
              <tr key={one.id}>
                <td className="numbers quiet">{moment(one.occurred_at, me.time_zone)}</td>
                <td>
                  {one.reason ? wordsFor("upload", "arrived", one.reason) : one.kind}
                  <small>{one.detail}</small>
                </td>
                <td>
                  {one.sender ?? "–"}
                  <small>{one.door}</small>
                </td>
                <td className="admin-uid">{one.study_instance_uid ?? "–"}</td>
                <td>
                  {one.resolved_at === null && me.permissions.includes("run_service") && (
                    <Button size="compact-xs" variant="default" onClick={() => void resolve(one.id)}>
                      {t("problem.resolve")}
                    </Button>
                  )}
                  {one.resolution}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </section>
  );
}
