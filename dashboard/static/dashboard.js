// Keeps open pages up to date, and works the picture of a film. Pages work without it.
"use strict";
(() => {
  const trouble = document.getElementById("trouble");
  const tell = (text) => {
    trouble.textContent = text;
    trouble.hidden = !text;
  };

  // -- live -------------------------------------------------------------------------------------

  const REST_MS = 500;
  let asked = 0;
  let waiting = null;
  let seen = document.body.dataset.number;

  const refresh = async () => {
    waiting = null;
    asked = Date.now();
    try {
      const answer = await fetch(location.href, { headers: { "X-Live": "1" }, cache: "no-store" });
      if (answer.redirected || answer.status === 401) return location.assign("/sign-in");
      if (!answer.ok) return;
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const now of document.querySelectorAll("[data-live]")) {
        const next = page.getElementById(now.id);
        if (!next || now.innerHTML === next.innerHTML) continue;
        // A choice that was begun is not taken away.
        if (now.querySelector("input:checked")) continue;
        const focused = now.contains(document.activeElement) ? document.activeElement : null;
        const link = focused?.getAttribute("href");
        now.replaceChildren(...next.childNodes);
        if (link) [...now.querySelectorAll("a")].find((it) => it.getAttribute("href") === link)?.focus();
      }
      tell("");
      // A picture that came later brings its tools along.
      if (document.querySelector("[data-picture]") && !document.getElementById("film")) location.reload();
    } catch {
      tell("The dashboard does not answer: this page may be out of date.");
    }
  };
  const soon = () => {
    // The first of several changes shows at once, the others together half a second later.
    if (waiting === null) waiting = setTimeout(refresh, Math.max(50, asked + REST_MS - Date.now()));
  };
  const at = document.body.dataset.events;
  if (at && document.querySelector("[data-live]")) {
    const events = new EventSource(at);
    events.addEventListener("change", (event) => {
      if (event.data !== seen || !trouble.hidden) soon();
      seen = event.data;
    });
    events.addEventListener("ended", () => location.assign("/sign-in"));
    events.addEventListener("error", () => {
      tell("The dashboard does not answer: this page may be out of date.");
      if (events.readyState === EventSource.CLOSED) setTimeout(() => location.reload(), 5000);
    });
    // Ages in words and silent devices change without a message.
    setInterval(soon, 30000);
  }

  // -- the picture ------------------------------------------------------------------------------

  const film = document.getElementById("film");
  if (!film) return;
  const [stage, sheet, marks] = ["stage", "sheet", "marks"].map((id) => document.getElementById(id));
  const [level, width] = ["level", "window"].map((id) => document.getElementById(id));
  const invert = document.getElementById("invert");
  const boxes = document.getElementById("boxes");
  const shown = document.getElementById("zoom-is");
  let zoom = 0;
  let fitted = 0;
  for (const it of document.querySelectorAll(".controls, .keys")) it.hidden = false;

  const size = (factor) => {
    if (!zoom) fitted = film.clientWidth;
    const before = [stage.scrollLeft + stage.clientWidth / 2, stage.scrollTop + stage.clientHeight / 2];
    const was = zoom || 1;
    zoom = factor === 0 ? 0 : Math.min(8, Math.max(1, was * factor));
    if (zoom <= 1) zoom = 0;
    sheet.classList.toggle("sized", zoom > 0);
    sheet.style.width = zoom ? `${fitted * zoom}px` : "";
    sheet.style.height = zoom ? `${(fitted * zoom * film.naturalHeight) / film.naturalWidth}px` : "";
    const grown = (zoom || 1) / was;
    stage.scrollLeft = before[0] * grown - stage.clientWidth / 2;
    stage.scrollTop = before[1] * grown - stage.clientHeight / 2;
    shown.textContent = `${Math.round((zoom || 1) * 100)} %`;
  };
  const grey = () => {
    const turned = invert.getAttribute("aria-pressed") === "true";
    const slope = (255 / Number(width.value)) * (turned ? -1 : 1);
    const middle = Number(level.value) / 255;
    for (const it of marks.querySelectorAll("feFuncR, feFuncG, feFuncB")) {
      it.setAttribute("slope", slope);
      it.setAttribute("intercept", 0.5 - slope * middle);
    }
    const plain = slope === 1 && level.value === "128";
    film.style.filter = plain ? "" : "url(#levels)";
  };
  const press = (button) => {
    const on = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", on);
    return on;
  };
  const turn = () => {
    press(invert);
    grey();
  };
  const mark = () => boxes && marks.classList.toggle("off", !press(boxes));
  for (const it of document.querySelectorAll("[data-zoom]")) {
    it.addEventListener("click", () => size(it.dataset.zoom === "+" ? 1.25 : 0.8));
  }
  level.addEventListener("input", grey);
  width.addEventListener("input", grey);
  invert.addEventListener("click", turn);
  boxes?.addEventListener("click", mark);
  document.getElementById("reset").addEventListener("click", () => {
    [level.value, width.value] = [128, 255];
    invert.setAttribute("aria-pressed", "false");
    grey();
    size(0);
  });
  const keys = { "+": () => size(1.25), "=": () => size(1.25), "-": () => size(0.8), 0: () => size(0), i: turn, b: mark };
  stage.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const act = keys[event.key.toLowerCase()];
    if (act) {
      event.preventDefault();
      act();
    }
  });
  stage.addEventListener("wheel", (event) => {
    if (!event.ctrlKey) return;
    event.preventDefault();
    size(event.deltaY < 0 ? 1.25 : 0.8);
  }, { passive: false });

  // A joint and its row point at each other.
  const choose = (name) => {
    for (const it of document.querySelectorAll("[data-joint]")) {
      it.classList.toggle("chosen", it.dataset.joint === name);
    }
  };
  for (const it of document.querySelectorAll("[data-joint]")) {
    it.addEventListener("pointerenter", () => choose(it.dataset.joint));
    it.addEventListener("pointerleave", () => choose(null));
    it.addEventListener("focusin", () => choose(it.dataset.joint));
    it.addEventListener("focusout", () => choose(null));
  }
})();
