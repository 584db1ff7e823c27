// How long pages take with many jobs. First a jobfile, which a scheduler runs for a minute, so that
// each job has run once:
//
//   node tests/web/measure.mjs jobs 5000 > /tmp/many/jobs.toml
//   cd /tmp/many && schedrs run jobs.toml & schedrs web -f /tmp/many/jobs.toml &
//   node tests/web/measure.mjs http://127.0.0.1:8080 measured-token /usr/bin/chromium
//
// "server" is from the request to the last byte, over a connection that is open; "ready" from the
// navigation to the second frame after `load`, in a window of 1280 px and one of 360 px.

import { Agent, request } from "node:http";

const [what, more, browserPath] = process.argv.slice(2);

if (what === "jobs") {
  console.log('[scheduler]\ntimezone = "UTC"\n[web]\ntoken = "measured-token"\n[executors]\ndefault = { max_workers = 200 }');
  for (let nth = 0; nth < Number(more); nth += 1) {
    const [hour, minute] = [(nth * 7) % 24, (nth * 13) % 60];
    console.log(`[jobs.import-of-customer-${String(nth).padStart(5, "0")}]\ncommand = "true"\ncron = "${minute} ${hour} * * *"\nrun_on_start = true\ntags = ["t${nth % 20}"]`);
  }
  process.exit(0);
}

const agent = new Agent({ keepAlive: true, maxSockets: 1 });
/** A request, and how many milliseconds it took. */
const ask = (path, options = {}, body = "") => new Promise((done, failed) => {
  const begun = performance.now();
  const asked = request(what + path, { agent, ...options }, (answer) => {
    let size = 0;
    answer.on("data", (part) => { size += part.length; });
    answer.on("end", () => done({ took: performance.now() - begun, size, status: answer.statusCode, headers: answer.headers }));
  });
  asked.on("error", failed);
  asked.end(body);
});
const quantile = (all, share) => [...all].sort((a, b) => a - b)[Math.min(all.length - 1, Math.floor(all.length * share))];

const form = `token=${more}`;
const { headers } = await ask("/login", { method: "POST", headers: { origin: what, "content-length": form.length } }, form);
const [name, value] = headers["set-cookie"][0].split(";")[0].split("=");
const cookie = { headers: { cookie: `${name}=${value}` } };

console.log("page                            KB  server median   p95 ms");
for (const path of ["/", "/jobs", "/jobs?q=customer-001&sort=-last", "/jobs/import-of-customer-00042", "/time", "/metrics", "/jobs?all=1"]) {
  await ask(path, cookie);
  const times = [];
  let size = 0;
  for (let nth = 0; nth < 40; nth += 1) {
    const answer = await ask(path, cookie);
    if (answer.status !== 200) throw new Error(`${path}: ${answer.status}`);
    times.push(answer.took);
    size = answer.size;
  }
  console.log(`${path.padEnd(30)} ${(size / 1024).toFixed(0).padStart(5)} ${quantile(times, 0.5).toFixed(1).padStart(10)} ${quantile(times, 0.95).toFixed(1).padStart(10)}`);
}

if (browserPath) {
  const { chromium } = await import("playwright-core");
  const browser = await chromium.launch({ executablePath: browserPath, args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"] });
  console.log("\npage                        ready 1280 px   360 px ms");
  for (const path of ["/", "/jobs", "/time", "/jobs?all=1"]) {
    const found = [];
    for (const width of [1280, 360]) {
      const context = await browser.newContext({ viewport: { width, height: 800 } });
      await context.addCookies([{ name, value, url: what }]);
      const page = await context.newPage();
      const times = [];
      for (let nth = 0; nth < 6; nth += 1) {
        await page.goto(what + path, { waitUntil: "load" });
        times.push(await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now()))))));
      }
      found.push(quantile(times.slice(1), 0.5));
      await context.close();
    }
    console.log(`${path.padEnd(30)} ${found.map((one) => one.toFixed(0).padStart(10)).join("")}`);
  }
  await browser.close();
}
