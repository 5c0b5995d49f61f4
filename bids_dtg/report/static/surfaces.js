"use strict";
/* The viewer of the cortex: NiiVue draws both hemispheres, coloured here by the values of parcels.
   The meshes come as a script that all pages share, the values as a script of the page. */
window.dtgSurfaces = (page, { loadScript, received }) => {
  const dialog = document.querySelector("dialog.viewer");
  const part = (name) => dialog.querySelector(`[data-part="${name}"]`);
  const canvas = part("canvas");
  const GREY = 168; // of the cortex below the colours
  const FADE = 0.5; // below this share of the brightest colour, a map fades with the square of it
  const TURN = 5; // degrees, with an arrow key
  const NEAR = 12; // pixels from the pointer to the vertex that it points to
  const VIEWS = { left: [90, 0], right: [270, 0], top: [180, 90], bottom: [180, -90], front: [180, 0], back: [0, 0] };
  let brain = null; // the Niivue object, made when the viewer is first opened
  let sides = []; // of each hemisphere: its mesh, points, and the parcel of each vertex
  let index = 0; // of the map
  let pointed = -1; // parcel under the pointer
  let ticket = 0; // number of the newest request; what is loaded for an older one is dropped

  for (const button of document.querySelectorAll("[data-map]")) {
    button.addEventListener("click", () => open(Number(button.dataset.map)));
  }
  part("map").replaceChildren(...page.maps.map((map, number) => new Option(
    page.averages.length > 1 ? `${map.title} (${page.averages[map.average].title})` : map.title, number)));
  part("layer").replaceChildren(...page.layers.map((layer) => new Option(layer.title, layer.key)));
  part("map").addEventListener("change", () => open(Number(part("map").value)));
  part("layer").addEventListener("change", show);
  part("side").addEventListener("change", arrange);
  part("view").addEventListener("change", turn);
  part("close").addEventListener("click", () => dialog.close());
  part("previous").addEventListener("click", () => step(-1));
  part("next").addEventListener("click", () => step(1));
  canvas.addEventListener("pointermove", point);
  canvas.addEventListener("pointerdown", point);
  canvas.addEventListener("keydown", (event) => {
    const turns = { ArrowLeft: [-TURN, 0], ArrowRight: [TURN, 0], ArrowUp: [0, TURN], ArrowDown: [0, -TURN] };
    if (!brain || !(event.key in turns)) return;
    event.preventDefault();
    event.stopPropagation();
    const [across, up] = turns[event.key];
    const elevation = Math.max(-90, Math.min(90, brain.scene.renderElevation + up));
    brain.setRenderAzimuthElevation(brain.scene.renderAzimuth + across, elevation);
  }, true);
  dialog.addEventListener("keydown", (event) => {
    if (event.target.matches("input, select, canvas") || event.altKey || event.ctrlKey || event.metaKey) return;
    const steps = { ArrowLeft: -1, ArrowRight: 1 };
    if (event.key in steps) { event.preventDefault(); step(steps[event.key]); }
  });

  const step = (by) => open((index + by + page.maps.length) % page.maps.length);
  const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer;

  function say(text) {
    part("wait").textContent = text;
    part("wait").hidden = !text;
  }

  async function open(number) {
    index = number;
    const map = page.maps[index];
    part("map").value = String(index);
    part("title").replaceChildren(map.title, Object.assign(document.createElement("small"), { textContent: map.about }));
    part("file").href = page.root + map.file;
    part("source").textContent = page.averages[map.average].title;
    if (!dialog.open) dialog.showModal();
    await show();
  }

  /* Values of the parcels, or null where the page has none. */
  function values(layer) {
    const map = page.maps[index];
    const text = (received.get(page.averages[map.average].script) || {})[`${map.label} ${layer}`];
    return text === undefined ? null : new Float32Array(bytes(text));
  }

  async function show() {
    const mine = ++ticket;
    try {
      say(brain ? "" : "Loading the viewer…");
      await loadScript(page.averages[page.maps[index].average].script);
      await prepare();
      if (mine !== ticket) return;
      paint();
      name();
      say("");
      dialog.dataset.shown = `${page.maps[index].label} ${part("layer").value}`;
    } catch (error) {
      console.warn(error);
      const scripts = page.averages.map((average) => average.script);
      const missing = [page.library, page.meshes, ...scripts].find((address) => address === error.message);
      say(error.message === "WebGL" ? "This browser has no WebGL 2, which the viewer needs."
        : missing ? `The viewer needs the file ${missing} beside this page. Copy the folders “figures” with the report.`
          : "The viewer could not show this map.");
    }
  }

  async function prepare() {
    if (brain) return;
    if (!document.createElement("canvas").getContext("webgl2")) throw new Error("WebGL");
    await loadScript(page.library);
    await loadScript(page.meshes);
    const viewer = new niivue.Niivue({
      backColor: [0, 0, 0, 1], dragAndDropEnabled: false, isColorbar: false, show3Dcrosshair: false,
      isOrientCube: false, loadingText: "", logLevel: "error",
    });
    await viewer.attachToCanvas(canvas);
    const stored = received.get(page.meshes);
    sides = ["L", "R"].map((side) => {
      const points = Float32Array.from(new Int16Array(bytes(stored[`${side} points`])), (value) => value / 100);
      const faces = Uint32Array.from(new Uint16Array(bytes(stored[`${side} faces`])));
      const parcels = new Int16Array(bytes(stored[`${side} parcels`]));
      const colours = new Uint8Array(4 * parcels.length).fill(GREY);
      const mesh = new niivue.NVMesh(points, faces, side, colours, 1, true, viewer.gl);
      viewer.addMesh(mesh);
      return { side, mesh, points, parcels };
    });
    viewer.setSliceType(4); // a rendering
    brain = viewer;
    turn();
  }

  function arrange() {
    if (!brain) return;
    for (const { side, mesh } of sides) mesh.visible = [side, "both"].includes(part("side").value);
    brain.drawScene();
  }

  function turn() {
    if (brain) brain.setRenderAzimuthElevation(...VIEWS[part("view").value]);
  }

  /* Colours of a scale, as [red, green, blue] for a share from 0 to 1. */
  function painter(stops) {
    const colours = stops.map((stop) => [1, 3, 5].map((at) => parseInt(stop.slice(at, at + 2), 16)));
    return (share) => {
      const place = Math.min(1, Math.max(0, share)) * (colours.length - 1);
      const low = Math.min(Math.floor(place), colours.length - 2);
      return colours[low].map((value, channel) => value + (place - low) * (colours[low + 1][channel] - value));
    };
  }

  function paint() {
    const map = page.maps[index];
    const layer = page.layers.find((candidate) => candidate.key === part("layer").value);
    const shown = values(layer.key);
    const widths = layer.opacity ? values(layer.opacity) : null;
    const limit = map.limits[layer.key];
    const [warm, cold] = ["dtg-positive", "dtg-negative"].map((scale) => painter(page.scales[scale]));
    const amount = painter(page.scales["dtg-amount"]);
    const colours = Array.from(shown || [], (value, parcel) => {
      const share = Math.abs(value) / limit;
      if (!Number.isFinite(share)) return [GREY, GREY, GREY];
      const colour = layer.amount ? amount(share) : (value > 0 ? warm : cold)(share);
      let opacity = layer.amount ? 1 : Math.min(1, share / FADE) ** 2;
      if (widths) opacity = Math.min(1, Math.abs(value) / widths[parcel]) || 0;
      return colour.map((channel) => Math.round(GREY + opacity * (channel - GREY)));
    });
    for (const { mesh, parcels } of sides) {
      for (let vertex = 0; vertex < parcels.length; vertex++) {
        const colour = colours[parcels[vertex]] || [GREY, GREY, GREY];
        mesh.rgba255.set(colour, 4 * vertex);
        mesh.rgba255[4 * vertex + 3] = 255;
      }
      mesh.updateMesh(brain.gl);
    }
    part("negative").style.background = layer.amount ? "" : page.gradients.negative_reversed;
    part("positive").style.background = layer.amount ? page.gradients.amount : page.gradients.positive;
    part("negative").hidden = Boolean(layer.amount);
    part("positive").style.gridColumn = layer.amount ? "1 / -1" : "";
    part("low").textContent = layer.amount ? "0" : `\u2212${limit}`;
    part("high").textContent = `${layer.amount ? "" : "+"}${limit}`;
    part("units").textContent = map.units;
    part("explained").textContent = layer.words;
    brain.drawScene();
  }

  /* Find the nearest vertex in front, under the pointer: all are projected as NiiVue does. */
  function point(event) {
    if (!brain) return;
    const box = canvas.getBoundingClientRect();
    const [matrix] = brain.calculateMvpMatrix(null, [0, 0, 0, 0], brain.scene.renderAzimuth, brain.scene.renderElevation);
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    let [depth, parcel] = [Infinity, -1];
    for (const { mesh, points, parcels } of sides) {
      if (!mesh.visible) continue;
      for (let vertex = 0; vertex < parcels.length; vertex++) {
        const at = 3 * vertex;
        const row = (n) => matrix[n] * points[at] + matrix[n + 4] * points[at + 1] + matrix[n + 8] * points[at + 2] + matrix[n + 12];
        const across = (0.5 + row(0) / 2) * box.width - x;
        if (Math.abs(across) > NEAR) continue;
        const down = (0.5 - row(1) / 2) * box.height - y;
        const far = Math.hypot(across, down);
        // A vertex behind another one is further by millimetres; one beside it, by pixels.
        const score = row(2) + far / 1000;
        if (far <= NEAR && score < depth) [depth, parcel] = [score, parcels[vertex]];
      }
    }
    if (parcel !== pointed) { pointed = parcel; name(); }
  }

  function name() {
    const map = page.maps[index];
    part("place").textContent = pointed < 0 ? "Point to the cortex to name a parcel." : page.names[pointed];
    const text = (value) => value.toFixed(2).replace("-", "\u2212");
    part("value").textContent = pointed < 0 ? "" : page.values.map(({ key, title, interval }) => {
      const [shown, widths] = [values(key), interval ? values(interval) : null];
      if (!shown || !Number.isFinite(shown[pointed])) return `${title}: n/a`;
      const value = shown[pointed];
      const width = widths ? widths[pointed] : NaN;
      const ends = Number.isFinite(width) ? ` [${text(value - width)}, ${text(value + width)}]` : "";
      return `${title}: ${text(value)}${ends}`;
    }).join("; ") + ` (${map.units})`;
    dialog.dataset.parcel = pointed < 0 ? "" : page.names[pointed];
  }
};
