/** Makes a key that no language has a compile error. English stands for all: the build checks that they agree. */
import type access from "./en/access.json";
import type admin from "./en/admin.json";
import type center from "./en/center.json";
import type common from "./en/common.json";
import type reader from "./en/reader.json";
import type report from "./en/report.json";
import type settings from "./en/settings.json";
import type upload from "./en/upload.json";
import type viewer from "./en/viewer.json";
import type worklist from "./en/worklist.json";

declare module "i18next" {
  interface CustomTypeOptions {
    defaultNS: "common";
    keySeparator: false;
    resources: {
      access: typeof access;
      admin: typeof admin;
      center: typeof center;
      common: typeof common;
      reader: typeof reader;
      report: typeof report;
      settings: typeof settings;
      upload: typeof upload;
      viewer: typeof viewer;
      worklist: typeof worklist;
    };
  }
}
