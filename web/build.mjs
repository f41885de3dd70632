// Builds the page into .cache/web, or its unit tests into .cache/web-tests.
import { copyFile, mkdir, readdir, readFile, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const BUDGET_BYTES = 175_000;

const FILES = ["index.html", "icon.svg", "app.js", "style.css"];

const here = dirname(fileURLToPath(import.meta.url));
const cache = join(here, "..", ".cache");

async function page() {
  // Not emptied first: a server may be reading from it.
  const folder = join(cache, "web");
  await build({
    entryPoints: { app: join(here, "src/main.ts"), style: join(here, "src/style.css") },
    outdir: folder,
    bundle: true,
    minify: true,
    format: "esm",
    target: "es2022",
    legalComments: "none",
    logLevel: "warning",
  });
  for (const name of FILES.slice(0, 2)) {
    await copyFile(join(here, "src", name), join(folder, name));
  }
  let total = 0;
  for (const name of FILES) {
    total += gzipSync(await readFile(join(folder, name)), { level: 9 }).length;
  }
  const said = `${(total / 1000).toFixed(1)} kB gzip of at most ${BUDGET_BYTES / 1000}`;
  console.log(`.cache/web: ${said}`);
  if (total > BUDGET_BYTES) {
    console.error(`The page is too large: ${said}.`);
    process.exitCode = 1;
  }
}

async function tests() {
  const folder = join(cache, "web-tests");
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  const names = (await readdir(join(here, "test"))).filter((name) => name.endsWith(".test.ts"));
  await build({
    entryPoints: names.map((name) => join(here, "test", name)),
    outdir: folder,
    outExtension: { ".js": ".mjs" },
    bundle: true,
    format: "esm",
    platform: "node",
    target: "node20",
    logLevel: "warning",
  });
}

await (process.argv.includes("--tests") ? tests() : page());
