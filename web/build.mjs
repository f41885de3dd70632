// Builds the page into .cache/web, or its unit tests into .cache/web-tests.
import { createHash } from "node:crypto";
import { copyFile, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
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
  await writeFile(join(folder, "sources.sha256"), `${await sources()}\n`);
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

/** Tell from what it was built; Terraform says the same and compares (terraform/module/gallery.tf). */
async function sources() {
  const names = (await readdir(join(here, "src"))).map((name) => `src/${name}`);
  const lines = [];
  for (const name of ["build.mjs", "package-lock.json", ...names].sort()) {
    const digest = createHash("sha256").update(await readFile(join(here, name))).digest("hex");
    lines.push(`web/${name} ${digest}`);
  }
  return createHash("sha256").update(lines.join("\n")).digest("hex");
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
