"use strict";
// The page's own few lines: draw the charts, and let the reader choose. All data stand in #data.
(() => {
  const { charts, enlarged, labels, start } = JSON.parse(document.getElementById("data").textContent);
  const every = (selector, within = document) => [...within.querySelectorAll(selector)];
  const views = {};

  // colours come from the page's style sheet, so that dark mode and print need no second drawing
  const config = {
    font: "system-ui, sans-serif", axis: { labelFontSize: 11, titleFontSize: 12, titleFontWeight: "normal", gridOpacity: 0.6 },
    legend: { labelFontSize: 11 }, view: { strokeOpacity: 0 },
  };
  const options = { mode: "vega-lite", renderer: "svg", config, tooltip: { theme: "custom" },
    actions: { export: true, source: false, compiled: false, editor: false } };
  const drawn = Promise.all(every(".chart").map(async (place) => {
    const { view } = await vegaEmbed(place, charts[place.id], options);
    views[place.id] = view;
    for (const menu of every("summary", place)) menu.setAttribute("aria-label", "Save this chart");
  }));

  const set = (selector, signal, value) => drawn.then(() => Promise.all(
    every(`${selector} .chart`).map((place) => views[place.id].signal(signal, value).runAsync())));

  // which methods the charts show
  for (const picker of every("fieldset.methods")) {
    picker.addEventListener("change", () => {
      const shown = every("input:checked", picker).map((box) => box.value);
      set(picker.dataset.charts, "shown", shown);
    });
  }
  for (const choice of every("select[data-charts]")) {
    choice.addEventListener("change", () => set(choice.dataset.charts, "quantity", choice.value));
  }

  // which structure is shown
  for (const button of every(".gallery button")) {
    button.addEventListener("click", () => {
      const name = button.value;
      for (const other of every(".gallery button")) other.setAttribute("aria-pressed", other === button);
      for (const card of every("article.structure")) card.hidden = card.dataset.structure !== name;
      set("#scf", "structure", name);
    });
  }

  // noisy to the left, denoised to the right of the handle
  for (const figure of every(".compare")) {
    const stack = figure.querySelector(".stack"), slider = figure.querySelector("input[type=range]");
    const move = () => stack.style.setProperty("--at", `${slider.value}%`);
    slider.addEventListener("input", move);
    const drag = (event) => {
      if (event.type === "pointermove" && !event.buttons) return;
      const box = stack.getBoundingClientRect();
      slider.value = Math.round(100 * (event.clientX - box.left) / box.width);
      move();
    };
    stack.addEventListener("pointerdown", drag);
    stack.addEventListener("pointermove", drag);
    for (const image of every("img", stack)) image.draggable = false;
    move();
  }

  // which C and which network the enlarged images show
  const level = document.getElementById("level"), network = document.getElementById("network");
  const exchange = () => {
    for (const figure of every(".compare[data-noise]")) {
      const levels = enlarged[figure.dataset.noise].levels;
      const c = Object.keys(levels)[level.value], method = network.value;
      const [before, after] = every(".stack img", figure);
      before.src = levels[c].raw;
      after.src = levels[c][method];
      const title = figure.dataset.title;
      before.alt = `${title} noise at C = ${c}`;
      after.alt = `The same, denoised by: ${labels[method]}`;
      figure.querySelector("output").textContent = `C = ${c}, ${labels[method]}`;
      document.getElementById("level-value").textContent = c;
      level.setAttribute("aria-valuetext", `C = ${c}`);
    }
  };
  if (level) {
    const first = Object.keys(Object.values(enlarged)[0].levels);
    level.value = Math.max(0, first.indexOf(start));
    level.addEventListener("input", exchange);
    network.addEventListener("change", exchange);
    exchange();
  }

  // on paper nothing can be opened
  window.addEventListener("beforeprint", () => every("details:not(.numbers)").forEach((part) => { part.open = true; }));
  drawn.then(() => { document.documentElement.dataset.ready = "yes"; });
})();
