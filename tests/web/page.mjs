// Every page of `schedrs web` in a browser: page.mjs BROWSER ORIGIN LINK
//
// In light and dark, at three widths, with and without script: nothing on the console, nothing against
// the policy, nothing asked of anybody else, nothing wider than the window, and nothing that axe has to
// say. Then what the script does. tests/cli/web/browser.rs calls it, and has the jobs.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

const [browserPath, origin, link] = process.argv.slice(2);
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const rules = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
const sizes = [[360, 740], [820, 1180], [1280, 800]];
const wrong = [];
const note = (text) => { if (!wrong.includes(text)) wrong.push(text); };

const browser = await chromium.launch({
  executablePath: browserPath,
  args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking", "--no-first-run"],
});

/** A window in which everything that is odd is noted. */
const open = async (options) => {
  const context = await browser.newContext(options);
  await context.addInitScript(() => {
    document.addEventListener("securitypolicyviolation", (event) => console.error(`policy: ${event.violatedDirective} ${event.blockedURI}`));
    window.alert = () => console.error("alert");
  });
  const page = await context.newPage();
  page.on("console", (message) => { if (message.type() === "error" && !page.url().endsWith("/nowhere")) note(`${page.url()}: console: ${message.text()}`); });
  page.on("pageerror", (error) => note(`${page.url()}: ${error}`));
  page.on("request", (request) => { if (!request.url().startsWith(origin)) note(`${page.url()}: asks ${request.url()}`); });
  return { context, page };
};

/** Waits until a part of a page says something: the policy forbids playwright's own way. */
const says = async (page, where, text) => {
  for (let nth = 0; nth < 150; nth += 1) {
    const found = await page.evaluate(([where, text]) => document.querySelector(where)?.textContent.includes(text), [where, text]).catch(() => false);
    if (found) return;
    await new Promise((done) => setTimeout(done, 100));
  }
  note(`${page.url()}: ${where} never says ${text}`);
};

const first = await open({});
await first.page.goto(origin + link);
const cookies = await first.context.cookies();
if (new URL(first.page.url()).pathname !== "/") note(`the link leads to ${first.page.url()}`);
const hrefs = async (path, prefix) => {
  await first.page.goto(origin + path);
  return first.page.$$eval("main a", (links, prefix) => links.map((one) => one.getAttribute("href")).filter((href) => href.startsWith(prefix)), prefix);
};
const [failed] = await hrefs("/jobs/backup", "/runs/");
const [retried] = await hrefs("/jobs/again", "/runs/");
const [wide] = await hrefs("/jobs/wide", "/runs/");
const [live] = await hrefs("/jobs/slow", "/runs/");
const [odd] = (await hrefs("/jobs", "/jobs/%3Cscript")).slice(0, 1);
await first.context.close();

const pages = ["/", "/jobs", "/jobs?sort=-last&q=import-of-customer-00", "/jobs?all=1", "/jobs/backup", odd, "/jobs/asleep", failed, retried, wide, live, "/time", "/changes", "/messages", "/jobs/backup/pause", "/nowhere", "/login"];
let looked = 0;
const started = Date.now();
const widths = () => document.documentElement.scrollWidth - document.documentElement.clientWidth;

/** What axe has to say of a page as it is now: of the second theme, what colours may change. */
const judge = async (page, where, isSecond) => {
  const only = isSecond ? { type: "rule", values: ["color-contrast", "link-in-text-block"] } : { type: "tag", values: rules };
  const { violations } = await page.evaluate((runOnly) => axe.run(document, { runOnly, resultTypes: ["violations"] }), only);
  for (const { id, help, nodes } of violations) note(`${where}: axe: ${id}: ${help}: ${nodes.slice(0, 3).map((node) => node.html.slice(0, 200)).join(" | ")}`);
};

/** All pages in windows of one width, in both themes. */
const tour = async ([width, height]) => {
  const { context, page } = await open({ viewport: { width, height } });
  await context.addCookies(cookies);
  for (const path of pages) {
    const answer = await page.goto(origin + path, { waitUntil: "load" });
    if (answer.status() !== (path === "/nowhere" ? 404 : 200)) note(`${path}: status ${answer.status()}`);
    // Numbers as a table are long, and alike.
    if (path !== "/time" || width === 1280) await page.evaluate(() => document.querySelectorAll("details").forEach((one) => { one.open = true; }));
    const has_axe = !path.includes("all=1");
    if (has_axe) await page.evaluate(axe);
    for (const colorScheme of ["light", "dark"]) {
      const where = `${path} (${colorScheme}, ${width} px)`;
      await page.emulateMedia({ colorScheme });
      looked += 1;
      const over = await page.evaluate(widths);
      if (over > 0) note(`${where}: ${over} px wider than the window`);
      if (has_axe) await judge(page, where, colorScheme === "dark");
      if (process.env.SHOTS) await page.screenshot({ path: `${process.env.SHOTS}/${path.replace(/[^a-z0-9]+/gi, "_")}-${colorScheme}-${width}.png` });
    }
  }
  await context.close();
};

/** The same without script, where nothing can be asked but how wide it is. */
const plain = async ([width, height], colorScheme) => {
  const { context, page } = await open({ colorScheme, viewport: { width, height }, javaScriptEnabled: false });
  await context.addCookies(cookies);
  for (const path of pages) {
    await page.goto(origin + path, { waitUntil: "load" });
    looked += 1;
    const cdp = await context.newCDPSession(page);
    const { cssContentSize, cssLayoutViewport } = await cdp.send("Page.getLayoutMetrics");
    await cdp.detach();
    const over = cssContentSize.width - cssLayoutViewport.clientWidth;
    if (over > 0) note(`${path} (${colorScheme}, ${width} px, no script): ${over} px wider than the window`);
  }
  await context.close();
};
await Promise.all(sizes.map(tour));
for (const colorScheme of ["light", "dark"]) await Promise.all(sizes.map((size) => plain(size, colorScheme)));

// Every link and button can be reached by the keyboard alone, and keys do what they say.
{
  const { context, page } = await open({ viewport: { width: 1280, height: 800 } });
  await context.addCookies(cookies);
  await page.goto(`${origin}/jobs?q=import-of-customer-00`);
  const wanted = await page.$$eval("a[href], button, input:not([type=hidden])", (all) => all.length);
  const reached = new Set();
  for (let nth = 0; nth < wanted + 5; nth += 1) {
    await page.keyboard.press("Tab");
    reached.add(await page.evaluate(() => [...document.querySelectorAll("a[href], button, input:not([type=hidden])")].indexOf(document.activeElement)));
  }
  reached.delete(-1);
  if (reached.size < wanted) note(`Tab reaches ${reached.size} of ${wanted} on /jobs`);
  await page.goto(`${origin}/`);
  await page.keyboard.press("g");
  await page.keyboard.press("j");
  await page.waitForURL("**/jobs");
  await page.keyboard.press("j");
  await page.keyboard.press("j");
  if (!(await page.$("tr.at:nth-child(2)"))) note("j does not step through rows");
  await page.keyboard.press("/");
  if ((await page.evaluate(() => document.activeElement.id)) !== "q") note("/ does not lead to the search");
  await page.goto(`${origin}/jobs`);
  await page.keyboard.press("?");
  if (!(await page.$("dialog[open]"))) note("? shows no help");
  await context.close();
}

// A page that is looked at hears of what happens, and a run of what it prints.
{
  const { context, page } = await open({});
  await context.addCookies(cookies);
  await page.goto(origin + live);
  await says(page, "#output", "first");
  await page.goto(`${origin}/jobs/import-of-customer-003`);
  const other = await context.newPage();
  await other.goto(`${origin}/jobs/import-of-customer-003/start`);
  await other.click("button.go");
  await other.waitForURL("**/runs/*");
  await page.bringToFront();
  await says(page, "main", "succeeded");
  await context.close();
}

await browser.close();
console.log(`${looked} pages in ${Date.now() - started} ms`);
if (wrong.length > 0) {
  console.error(wrong.join("\n"));
  process.exit(1);
}
