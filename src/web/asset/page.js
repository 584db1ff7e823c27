"use strict";
// Everything here is an extra: the pages work without it.
(() => {
  const $ = (what, where) => (where || document).querySelector(what);
  let stream = null, stale = null, pending = false, last = 0;

  const say = (text) => {
    if (!stale) {
      stale = document.createElement("p");
      stale.className = "stale";
      stale.setAttribute("role", "status");
      document.body.append(stale);
    }
    stale.textContent = text;
    stale.hidden = !text;
  };

  // Takes the page anew, and leaves the reader where they are.
  const renew = async () => {
    if (pending || document.hidden || $("dialog[open]") || !getSelection().isCollapsed) return;
    pending = true;
    try {
      const answer = await fetch(location.href, { headers: { accept: "text/html" } });
      if (answer.status >= 500) throw new Error(answer.status);
      if (answer.redirected || answer.status === 401) return location.reload();
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      const from = $("main", fresh), to = $("main"), focus = document.activeElement;
      if (!from || to.contains(focus) && /^(INPUT|TEXTAREA|SELECT)$/.test(focus.tagName)) return;
      const open = [...to.querySelectorAll("details")].map((one) => one.open);
      const href = to.contains(focus) && focus.getAttribute("href");
      const rows = [...to.querySelectorAll("tbody tr")], at = rows.findIndex((row) => row.classList.contains("at"));
      document.title = fresh.title;
      $(".state").replaceWith($(".state", fresh));
      const live = to.dataset.live;
      to.replaceWith(from);
      from.querySelectorAll("details").forEach((one, nth) => { one.open = !!open[nth]; });
      if (href) [...from.querySelectorAll("a")].find((one) => one.getAttribute("href") === href)?.focus({ preventScroll: true });
      if (at >= 0) from.querySelectorAll("tbody tr")[at]?.classList.add("at");
      last = Date.now();
      say("");
      clocks();
      if (from.dataset.live !== live) listen();
    } catch {
      const since = new Date(last || Date.now()).toLocaleTimeString();
      say(`Not current since ${since}: schedrs web does not answer.`);
    } finally {
      pending = false;
    }
  };

  // One stream of events for each tab that is looked at.
  const listen = () => {
    stream?.close();
    stream = null;
    const where = $("main")?.dataset.live;
    if (!where || document.hidden || !window.EventSource) return;
    stream = new EventSource(where);
    const output = where.startsWith("/runs/") && $("#output");
    let lost = 0;
    stream.onopen = () => { if (output) output.textContent = ""; if (lost) renew(); lost = 0; };
    stream.addEventListener("changed", renew);
    stream.onerror = () => {
      if (++lost === 2) say(`Not current since ${new Date(last || Date.now()).toLocaleTimeString()}: no connection.`);
    };
    if (!output) return;
    stream.onmessage = (event) => {
      const { text, err } = JSON.parse(event.data);
      const down = output.scrollHeight - output.scrollTop - output.clientHeight < 40;
      const part = document.createElement("span");
      if (err) {
        part.className = "e";
        part.textContent = text.replace(/^(?=.)/gm, "! ");
      } else part.textContent = text;
      output.append(part);
      while (output.childNodes.length > 5000) output.firstChild.remove();
      if (down) output.scrollTop = output.scrollHeight;
    };
    stream.addEventListener("lost", () => output.append("\n… some output was lost on the way …\n"));
    stream.addEventListener("ended", () => { stream.close(); stream = null; setTimeout(renew, 300); });
  };

  // Times on the clocks of jobs, of UTC or of this browser.
  const modes = ["job", "UTC", "browser"];
  const stored = (key, value) => {
    try {
      if (value === undefined) return localStorage.getItem(key);
      localStorage.setItem(key, value);
    } catch { return null; }
  };
  const clocks = () => {
    const mode = stored("clock") || "job";
    for (const time of document.querySelectorAll("time[datetime]")) {
      time.dataset.text ??= time.textContent;
      if (mode === "job") { time.textContent = time.dataset.text; continue; }
      const at = new Date(time.getAttribute("datetime"));
      const zone = mode === "UTC" ? "UTC" : undefined;
      const day = (date) => date.toLocaleDateString("sv", { timeZone: zone });
      const clock = at.toLocaleTimeString("sv", { timeZone: zone });
      time.textContent = day(at) === day(new Date()) ? clock : `${day(at)} ${clock}`;
    }
    const foot = $(".foot");
    if (!foot || $(".clock", foot)) return;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "clock";
    button.textContent = `Times: ${mode}`;
    button.onclick = () => {
      const next = modes[(modes.indexOf(stored("clock") || "job") + 1) % 3];
      stored("clock", next);
      button.textContent = `Times: ${next}`;
      clocks();
    };
    foot.append(" · ", button);
  };

  // Keys.
  const help = () => {
    let dialog = $("dialog");
    if (!dialog) {
      dialog = document.createElement("dialog");
      dialog.setAttribute("aria-label", "Keys");
      const keys = [["/", "search jobs"], ["j k", "next, previous row"], ["Enter", "open the row"], ["g n", "Now"], ["g j", "Jobs"], ["g t", "Time"], ["g m", "Messages"], ["?", "this"]];
      const list = document.createElement("dl");
      list.className = "facts";
      for (const [key, text] of keys) {
        const dt = document.createElement("dt"), kbd = document.createElement("kbd"), dd = document.createElement("dd");
        kbd.textContent = key;
        dd.textContent = text;
        dt.append(kbd);
        list.append(dt, dd);
      }
      const off = document.createElement("button");
      off.textContent = "Switch keys off";
      off.onclick = () => { stored("keys", "off"); dialog.close(); };
      const close = document.createElement("button");
      close.textContent = "Close";
      close.onclick = () => dialog.close();
      dialog.append(list, close, " ", off);
      document.body.append(dialog);
    }
    stored("keys", "on");
    dialog.showModal();
  };
  let before = "";
  const step = (by) => {
    const rows = [...document.querySelectorAll("main tbody tr")].filter((row) => $("a", row));
    const now = rows.findIndex((row) => row.classList.contains("at"));
    const next = rows[Math.max(0, Math.min(rows.length - 1, now + by))];
    if (!next) return;
    rows[now]?.classList.remove("at");
    next.classList.add("at");
    $("a", next).focus();
    next.scrollIntoView({ block: "nearest" });
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName)) return;
    const key = event.key, chord = before + key;
    before = key === "g" ? "g" : "";
    if (key === "?") return help();
    if (stored("keys") === "off") return;
    const places = { gn: "/", gj: "/jobs", gt: "/time", gm: "/messages", gc: "/changes" };
    if (places[chord]) location.href = places[chord];
    else if (key === "/") { event.preventDefault(); $("#q") ? $("#q").focus() : (location.href = "/jobs#q"); }
    else if (key === "j") step(1);
    else if (key === "k") step(-1);
  });

  document.addEventListener("visibilitychange", () => { if (!document.hidden) renew(); listen(); });
  if (location.hash === "#q") $("#q")?.focus();
  last = Date.now();
  clocks();
  listen();
})();
