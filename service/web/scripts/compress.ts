/** Leaves a brotli and a gzip copy beside every text and wasm file, so that the service need not compress. */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import type { Plugin } from "vite";

const SMALLER = /\.(js|css|svg|wasm)$/;

export function compressed(): Plugin {
  return {
    name: "compressed-copies",
    apply: "build",
    closeBundle: {
      order: "post",
      sequential: true,
      handler() {
        const folder = join(this.environment.config.build.outDir, "assets");
        for (const name of readdirSync(folder).filter((one) => SMALLER.test(one))) {
          const content = readFileSync(join(folder, name));
          const quality = content.length > 500_000 ? 6 : 11;
          const params = { [constants.BROTLI_PARAM_QUALITY]: quality, [constants.BROTLI_PARAM_SIZE_HINT]: content.length };
          writeFileSync(join(folder, `${name}.br`), brotliCompressSync(content, { params }));
          writeFileSync(join(folder, `${name}.gz`), gzipSync(content, { level: 9 }));
        }
      },
    },
  };
}
