/** How the pages are built: one app, its viewer apart, everything from our own address. */
import { fileURLToPath } from "node:url";
import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";
import { compressed } from "./scripts/compress.ts";

const service = process.env["PANDOK_ADDRESS"] ?? "http://127.0.0.1:8042";

export default defineConfig({
  plugins: [react(), compressed()],
  resolve: {
    // vtk.js reads XML through xmlbuilder2, which wants Node's own modules and dies in a browser; we read no XML.
    alias: { xmlbuilder2: fileURLToPath(new URL("./src/viewer/no-xml.ts", import.meta.url)) },
  },
  worker: { format: "es" },
  optimizeDeps: {
    exclude: ["@cornerstonejs/dicom-image-loader"],
    include: [
      "dicom-parser",
      "@cornerstonejs/dicom-image-loader > @cornerstonejs/codec-charls/decodewasmjs",
      "@cornerstonejs/dicom-image-loader > @cornerstonejs/codec-libjpeg-turbo-8bit/decodewasmjs",
      "@cornerstonejs/dicom-image-loader > @cornerstonejs/codec-libjxl/decodewasmjs",
      "@cornerstonejs/dicom-image-loader > @cornerstonejs/codec-openjpeg/decodewasmjs",
      "@cornerstonejs/dicom-image-loader > @cornerstonejs/codec-openjph/wasmjs",
    ],
  },
  build: {
    manifest: true,
    target: "es2023",
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    chunkSizeWarningLimit: 6000,
  },
  server: { proxy: { "/api": service, "/dicomweb": service, "/ready": service } },
  test: { environment: "node", include: ["src/**/*.test.{ts,tsx}", "scripts/**/*.test.ts"] },
});
