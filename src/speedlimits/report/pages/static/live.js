"use strict";
// Renews the page while its run trains: words and tables by what the server has now, charts by their new points.
(() => {
  const PAUSE = 2000;
  const ids = (page) => [...page.querySelectorAll(".plot, .legend")].map((part) => part.id || "legend").join();

  function take(fresh) {
    for (const old of document.querySelectorAll("[data-live]")) old.innerHTML = fresh.getElementById(old.id).innerHTML;
    for (const plot of speedlimits.plots()) {
      const data = document.getElementById(`${plot.id}-data`), now = fresh.getElementById(data.id).textContent;
      if (data.textContent === now) continue;
      data.textContent = now;
      plot.ariaLabel = fresh.getElementById(plot.id).ariaLabel;
      const [here, there] = [plot, fresh.getElementById(plot.id)].map((each) => each.closest("figure"));
      for (const part of [".legend", "table"]) {
        const shown = here.querySelector(part);
        if (shown) shown.innerHTML = there.querySelector(part).innerHTML;
      }
      speedlimits.draw(plot);
    }
  }

  async function renew() {
    const lost = document.getElementById("lost");
    try {
      const answer = await fetch("?fragment");
      if (!answer.ok) throw new Error(answer.statusText);
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      // Other charts than before: what they are made of is on the whole page only.
      if (ids(fresh) !== ids(document)) { location.reload(); return; }
      take(fresh);
      lost.hidden = true;
      if (fresh.querySelector("[data-ended]")) return;
    } catch { lost.hidden = false; }
    setTimeout(renew, PAUSE);
  }

  setTimeout(renew, PAUSE);
})();
