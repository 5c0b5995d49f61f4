"use strict";
/* Points of an embedding: choose cloud, axes and colour; hover, click or arrow keys show a point's label. */
document.addEventListener("DOMContentLoaded", () => {
  const data = JSON.parse(document.getElementById("embedding-data").textContent);
  const box = document.querySelector("[data-embedding]");
  const part = (name) => box.querySelector(`[data-part="${name}"]`);
  const svg = part("plot"), tip = part("tip"), details = part("details"), legend = part("legend");
  const SHAPES = [
    (r) => `M${-r} 0A${r} ${r} 0 1 0 ${r} 0A${r} ${r} 0 1 0 ${-r} 0Z`,
    (r) => `M${-0.9 * r} ${-0.9 * r}H${0.9 * r}V${0.9 * r}H${-0.9 * r}Z`,
    (r) => `M0 ${-1.2 * r}L${1.1 * r} ${0.8 * r}H${-1.1 * r}Z`,
    (r) => `M0 ${-1.3 * r}L${1.3 * r} 0L0 ${1.3 * r}L${-1.3 * r} 0Z`,
    (r) => `M0 ${1.2 * r}L${1.1 * r} ${-0.8 * r}H${-1.1 * r}Z`,
    (r) => `M${-0.4 * r} ${-1.2 * r}H${0.4 * r}V${-0.4 * r}H${1.2 * r}V${0.4 * r}H${0.4 * r}V${1.2 * r}H${-0.4 * r}V${0.4 * r}H${-1.2 * r}V${-0.4 * r}H${-0.4 * r}Z`,
  ];
  const COLOURS = 8, TURNS = 24;
  const MARGIN = { left: 56, right: 12, top: 12, bottom: 44 };
  const NAMESPACE = "http://www.w3.org/2000/svg";
  let cloud = null, points = [], chosen = -1, only = null;

  function element(name, attributes = {}, text = "") {
    const made = document.createElementNS(NAMESPACE, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text) made.textContent = text;
    return made;
  }

  function fill(select, options, wanted = 0) {
    select.replaceChildren();
    let group = null;
    options.forEach(({ text, under }, index) => {
      if (under && under !== group?.label) {
        group = document.createElement("optgroup");
        group.label = under;
        select.append(group);
      }
      const option = new Option(text, String(index));
      (under ? group : select).append(option);
    });
    select.value = String(Math.min(wanted, options.length - 1));
  }

  /* What points may be coloured by: of the cloud itself, then what is known of people. */
  function colourings() {
    const own = [];
    const levels = (name, values, of) => ({ name, levels: of, at: (i) => values[i] });
    if (cloud.contrasts) {
      const tasks = [...new Set(data.contrasts.map((contrast) => contrast.task))].filter(Boolean);
      if (tasks.length > 1) {
        own.push(levels("task", cloud.contrasts.map((c) => tasks.indexOf(data.contrasts[c].task)), tasks));
      }
      own.push(levels("contrast", cloud.contrasts, data.contrasts.map((contrast) => contrast.name)));
    }
    for (const column of data.columns) {
      own.push({ ...column, at: (i) => column.values[cloud.people[i]] });
    }
    own.push({ name: "nothing", levels: [], at: () => null });
    return own;
  }

  function chooseCloud() {
    const before = part("colour").selectedOptions[0]?.textContent;
    cloud = data.clouds[Number(part("cloud").value)];
    const axes = cloud.axes.map((axis) => ({ text: axis.name }));
    fill(part("x"), axes, 0);
    fill(part("y"), axes, 1);
    const names = colourings().map((colouring) => ({ text: colouring.name }));
    const same = names.findIndex((name) => name.text === before);
    fill(part("colour"), names, Math.max(same, 0));
    part("about").textContent = cloud.about;
    chosen = -1;
    only = null;
    draw();
  }

  function ticks(low, high) {
    const rough = (high - low) / 5 || 1;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((x) => x * power).find((x) => x >= rough);
    const found = [];
    for (let k = Math.ceil(low / step); k * step <= high; k += 1) found.push(k * step);
    const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
    return found.map((value) => [value, value.toFixed(digits).replace("-", "\u2212")]);
  }

  function ends(values) {
    const known = values.filter(Number.isFinite);
    return known.length ? [Math.min(...known), Math.max(...known)] : [0, 1];
  }

  function draw() {
    const [x, y] = ["x", "y"].map((name) => cloud.axes[Number(part(name).value)]);
    const width = Math.max(260, Math.round(svg.parentElement.clientWidth));
    const height = Math.round(Math.min(Math.max(0.68 * width, 280), 560));
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    svg.style.height = `${height}px`;
    const inside = [width - MARGIN.left - MARGIN.right, height - MARGIN.top - MARGIN.bottom];
    const [xs, ys] = [ends(x.values), ends(y.values)];
    const scales = [inside[0] / (xs[1] - xs[0] || 1) / 1.08, inside[1] / (ys[1] - ys[0] || 1) / 1.08];
    // With one scale for both axes, distances are what they look like.
    if (part("same").checked) scales.fill(Math.min(...scales));
    const middle = [(xs[0] + xs[1]) / 2, (ys[0] + ys[1]) / 2];
    const centre = [MARGIN.left + inside[0] / 2, MARGIN.top + inside[1] / 2];
    const px = (value) => centre[0] + (value - middle[0]) * scales[0];
    const py = (value) => centre[1] - (value - middle[1]) * scales[1];
    svg.replaceChildren();
    const reach = [inside[0] / 2 / scales[0], inside[1] / 2 / scales[1]];
    const bottom = height - MARGIN.bottom, right = width - MARGIN.right;
    for (const [value, text] of ticks(middle[0] - reach[0], middle[0] + reach[0])) {
      svg.append(element("line", { class: "axis", x1: px(value), x2: px(value), y1: MARGIN.top, y2: bottom }));
      svg.append(element("text", { x: px(value), y: bottom + 16, "text-anchor": "middle" }, text));
    }
    for (const [value, text] of ticks(middle[1] - reach[1], middle[1] + reach[1])) {
      svg.append(element("line", { class: "axis", x1: MARGIN.left, x2: right, y1: py(value), y2: py(value) }));
      svg.append(element("text", { x: MARGIN.left - 6, y: py(value) + 4, "text-anchor": "end" }, text));
    }
    svg.append(element("text", { class: "label", x: right, y: height - 6, "text-anchor": "end" }, x.name));
    const up = element("text", { class: "label", x: -MARGIN.top, y: 13, transform: "rotate(-90)", "text-anchor": "end" }, y.name);
    svg.append(up);
    const colouring = colourings()[Number(part("colour").value)];
    const range = colouring.levels ? null : ends(data.columns.find((c) => c.name === colouring.name).values.filter((v) => v !== null));
    const radius = cloud.people.length > 1500 ? 2.6 : cloud.people.length > 300 ? 3.4 : 4.6;
    points = [];
    cloud.people.forEach((person, i) => {
      if (!Number.isFinite(x.values[i]) || !Number.isFinite(y.values[i])) return;
      const value = colouring.at(i);
      const look = appearance(colouring, value, range);
      const made = element("path", { class: "point", d: SHAPES[look.shape](radius), transform: `translate(${px(x.values[i]).toFixed(1)} ${py(y.values[i]).toFixed(1)})` });
      made.style.fill = look.colour;
      if (only !== null && value !== only) made.classList.add("faded");
      if (data.people[person].unusual && !cloud.contrasts) {
        svg.append(element("circle", { class: "unusual", r: radius + 3.5, cx: px(x.values[i]), cy: py(y.values[i]) }));
      }
      svg.append(made);
      points.push({ i, x: px(x.values[i]), y: py(y.values[i]), made });
    });
    svg.append(element("circle", { class: "cursor", r: radius + 4, cx: -99, cy: -99 }));
    explain(colouring, range);
    choose(points.findIndex((point) => point.i === chosen), false);
  }

  function appearance(colouring, value, range) {
    if (value === null || value === undefined || value < 0 && colouring.levels) return { shape: 0, colour: colouring.name === "nothing" ? "var(--series-1)" : "var(--soft)" };
    if (!colouring.levels) {
      const share = range[1] > range[0] ? (value - range[0]) / (range[1] - range[0]) : 0.5;
      return { shape: 0, colour: data.gradient[Math.round(share * (data.gradient.length - 1))] };
    }
    // Colour and shape both show levels, so that neither has to be seen alone.
    const shape = (value + Math.floor(value / TURNS)) % SHAPES.length;
    return { shape, colour: `var(--series-${(value % COLOURS) + 1})` };
  }

  function explain(colouring, range) {
    legend.replaceChildren();
    const missing = cloud.people.some((_, i) => colouring.at(i) === null);
    if (!colouring.levels) {
      const bar = document.createElement("span");
      bar.className = "scale";
      const low = document.createElement("span"), high = document.createElement("span"), ramp = document.createElement("i");
      [low.textContent, high.textContent] = range.map(written);
      ramp.style.background = `linear-gradient(to right, ${data.gradient.join(", ")})`;
      bar.append(low, ramp, high);
      legend.append(bar);
    } else {
      const present = new Set(cloud.people.map((_, i) => colouring.at(i)));
      colouring.levels.forEach((level, value) => {
        if (!present.has(value)) return;
        const look = appearance(colouring, value, null);
        const key = document.createElement("button");
        key.type = "button";
        key.className = "key";
        key.setAttribute("aria-pressed", String(only === value));
        const sample = element("svg", { width: 14, height: 14, viewBox: "-7 -7 14 14", "aria-hidden": "true" });
        const shape = element("path", { class: "point", d: SHAPES[look.shape](4.6) });
        shape.style.fill = look.colour;
        sample.append(shape);
        key.append(sample, level);
        key.addEventListener("click", () => { only = only === value ? null : value; draw(); });
        legend.append(key);
      });
    }
    if (missing && colouring.name !== "nothing") {
      const note = document.createElement("span");
      note.textContent = "grey: n/a";
      legend.append(note);
    }
    if (!cloud.contrasts && cloud.people.some((person) => data.people[person].unusual)) {
      const note = document.createElement("span");
      note.textContent = "ringed: unusual";
      legend.append(note);
    }
  }

  function written(value) {
    if (value === null || value === undefined) return "n/a";
    const text = Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(4)));
    return text.replace("-", "\u2212");
  }

  /* Text on a point: its person and contrast, and what is known of the person. */
  function lines(i) {
    const person = data.people[cloud.people[i]];
    const head = cloud.contrasts ? `${person.name}, ${data.contrasts[cloud.contrasts[i]].name}` : person.name;
    const known = data.columns.map((column) => {
      const value = column.values[cloud.people[i]];
      if (value === null) return "";
      return `${column.name}: ${column.levels ? column.levels[value] : written(value)}`;
    });
    return [head, ...known.filter(Boolean)];
  }

  function choose(index, speak = true) {
    const cursor = svg.querySelector(".cursor"), point = points[index];
    chosen = point ? point.i : -1;
    tip.hidden = !point;
    if (!point) { cursor.setAttribute("cx", -99); return; }
    cursor.setAttribute("cx", point.x);
    cursor.setAttribute("cy", point.y);
    const [head, ...known] = lines(point.i);
    tip.replaceChildren();
    const title = document.createElement("strong");
    title.textContent = head;
    tip.append(title);
    for (const text of known.slice(0, 8)) {
      const line = document.createElement("div");
      line.textContent = text;
      tip.append(line);
    }
    const width = svg.parentElement.clientWidth;
    const left = Math.min(Math.max(point.x + 12, 0), Math.max(width - tip.offsetWidth, 0));
    tip.style.left = `${left}px`;
    const above = point.y - tip.offsetHeight - 12;
    tip.style.top = `${above < 0 ? point.y + 12 : above}px`;
    if (!speak) return;
    details.replaceChildren();
    details.append([head, ...known].join(" \u00b7 "));
    const address = data.people[cloud.people[point.i]].link;
    if (address) {
      const link = document.createElement("a");
      link.href = address;
      link.textContent = "Open the report";
      details.append(" ", link);
    }
  }

  function nearest(event) {
    const frame = svg.getBoundingClientRect();
    const [x, y] = [event.clientX - frame.left, event.clientY - frame.top];
    let best = -1, least = 18 ** 2;
    points.forEach((point, index) => {
      const apart = (point.x - x) ** 2 + (point.y - y) ** 2;
      if (apart < least) [best, least] = [index, apart];
    });
    return best;
  }

  function open() {
    const address = chosen >= 0 ? data.people[cloud.people[chosen]].link : null;
    if (address) location.href = address;
  }

  const STEPS = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  function move(event) {
    const now = points.findIndex((point) => point.i === chosen);
    if (event.key === "Enter") { open(); return; }
    if (event.key === "Escape") { choose(-1); return; }
    if (event.key === "Home" || event.key === "End") {
      event.preventDefault();
      choose(event.key === "Home" ? 0 : points.length - 1);
      return;
    }
    const step = STEPS[event.key];
    if (!step) return;
    event.preventDefault();
    if (now < 0) { choose(0); return; }
    let best = now, least = Infinity;
    points.forEach((point, index) => {
      const [dx, dy] = [point.x - points[now].x, point.y - points[now].y];
      const along = dx * step[0] + dy * step[1], across = Math.abs(dx * step[1]) + Math.abs(dy * step[0]);
      if (index !== now && along > 0 && along + 2 * across < least) [best, least] = [index, along + 2 * across];
    });
    choose(best);
  }

  fill(part("cloud"), data.clouds.map((own) => ({ text: `${own.source}: ${own.name}`, under: own.source })));
  part("cloud").addEventListener("change", chooseCloud);
  for (const name of ["x", "y", "same"]) part(name).addEventListener("change", draw);
  part("colour").addEventListener("change", () => { only = null; draw(); });
  svg.addEventListener("keydown", move);
  svg.addEventListener("pointermove", (event) => { if (event.pointerType !== "touch") choose(nearest(event)); });
  svg.addEventListener("pointerleave", () => { tip.hidden = true; });
  svg.addEventListener("pointerdown", (event) => { choose(nearest(event)); });
  svg.addEventListener("click", (event) => {
    // A finger has nothing to hover with: it reads first, and opens by the link below.
    if (event.pointerType !== "touch" && nearest(event) >= 0) open();
  });
  new ResizeObserver(() => draw()).observe(svg.parentElement);
  chooseCloud();
});
