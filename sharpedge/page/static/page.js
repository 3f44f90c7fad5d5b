// Loads the page again when something has changed, unless a person is in the middle of a choice.
"use strict";
(() => {
  const pulse = document.body.dataset.pulse;
  const trouble = document.getElementById("trouble");
  const focused = sessionStorage.getItem("focus");
  sessionStorage.removeItem("focus");
  if (focused) document.getElementById(focused)?.focus();
  if (!pulse) return;

  const choosing = () => document.querySelector("input[type=radio]:checked") !== null;
  const tell = (text) => {
    trouble.textContent = text;
    trouble.hidden = !text;
  };
  const look = async () => {
    try {
      const answer = await fetch("/pulse", { cache: "no-store" });
      if (answer.status === 401) return location.assign("/sign-in");
      if (!answer.ok) return tell("The appliance does not answer.");
      const now = (await answer.json()).pulse;
      if (now === pulse) return tell("");
      if (choosing()) return tell("Something has changed: finish your choice, or load the page again.");
      const id = document.activeElement?.id;
      if (id) sessionStorage.setItem("focus", id);
      location.reload();
    } catch {
      tell("This page is not served any more.");
    }
  };
  setInterval(look, 3000);
})();
