"use strict";
/* The map viewer: NiiVue in a dialog. Volumes come as scripts, because pages that were opened as
   files may not fetch them; each script calls dtgVolumes(name, {key: base64 of a .nii.gz}). */
(() => {
  const received = new Map();
  const loading = new Map();
  let root = ""; // from the page to the output folder, which addresses are relative to
  window.dtgVolumes = (name, volumes) => received.set(name, volumes);

  function loadScript(source) {
    if (!loading.has(source)) {
      loading.set(source, new Promise((resolve, reject) => {
        const script = document.createElement("script");
        script.src = root + source;
        script.onload = resolve;
        script.onerror = () => { loading.delete(source); reject(new Error(source)); };
        document.head.append(script);
      }));
    }
    return loading.get(source);
  }

  document.addEventListener("DOMContentLoaded", () => {
    const data = document.getElementById("viewer-data");
    if (!data) return;
    const page = JSON.parse(data.textContent);
    root = page.root;
    if (page.meshes) window.dtgSurfaces(page, { loadScript, received });
    else start(page);
  });

  function start(page) {
    const dialog = document.querySelector("dialog.viewer");
    const part = (name) => dialog.querySelector(`[data-part="${name}"]`);
    const canvas = part("canvas");
    const state = { index: 0, sure: false };
    let brain = null; // the Niivue object, made when the viewer is first opened
    let ticket = 0; // number of the newest request; what is loaded for an older one is dropped

    for (const button of document.querySelectorAll("[data-map]")) {
      button.addEventListener("click", () => open(Number(button.dataset.map)));
    }
    part("close").addEventListener("click", () => dialog.close());
    part("previous").addEventListener("click", () => step(-1));
    part("next").addEventListener("click", () => step(1));
    part("threshold").addEventListener("input", paint);
    part("limit").addEventListener("input", paint);
    part("fade").addEventListener("change", paint);
    part("layer").addEventListener("change", () => show());
    part("sure").addEventListener("change", () => { state.sure = part("sure").checked; show(); });
    part("view").addEventListener("change", arrange);
    dialog.addEventListener("keydown", (event) => {
      if (event.target.matches("input, select") || event.altKey || event.ctrlKey || event.metaKey) return;
      const steps = { ArrowLeft: -1, ArrowRight: 1 };
      if (event.key in steps) { event.preventDefault(); event.stopPropagation(); step(steps[event.key]); }
    }, true);

    const step = (by) => open((state.index + by + page.maps.length) % page.maps.length);

    function say(text) {
      part("wait").textContent = text;
      part("wait").hidden = !text;
    }

    async function open(index) {
      const map = page.maps[index];
      const sameAverage = page.maps[state.index].average === map.average;
      state.index = index;
      part("title").replaceChildren(map.title, Object.assign(document.createElement("small"), { textContent: map.about }));
      part("file").href = root + map.file;
      part("source").textContent = page.averages[map.average].title;
      const layers = [["", "Map"], ...map.overlays.map((overlay) => [overlay.desc, overlay.title])];
      const chosen = sameAverage ? part("layer").value : "";
      part("layer").replaceChildren(...layers.map(([value, text]) => new Option(text, value)));
      part("layer").value = layers.some(([value]) => value === chosen) ? chosen : "";
      part("uncertainty").hidden = !map.overlays.length;
      part("certain").hidden = Boolean(map.overlays.length);
      if (map.overlays.length) part("rule").textContent = map.overlays[0].rule;
      if (!dialog.open) dialog.showModal();
      await show(true);
    }

    async function volume(map, desc, settings) {
      const source = page.averages[map.average].scripts[desc];
      await loadScript(source);
      return niivue.NVImage.loadFromBase64({
        base64: received.get(source)[map.label], name: `${map.label}-${desc}.nii.gz`, ...settings,
      });
    }

    async function show(moved = false) {
      const mine = ++ticket;
      const map = page.maps[state.index];
      const layer = part("layer").value;
      try {
        say(brain ? "" : "Loading the viewer…");
        await prepare();
        const shown = await volume(map, layer || "synthetic", {
          colormap: layer ? "dtg-amount" : "dtg-positive", colormapNegative: layer ? "" : "dtg-negative",
        });
        const unsure = map.overlays[0];
        if (!layer && state.sure && unsure) keepSure(shown, await volume(map, unsure.desc, {}), unsure.factor);
        if (mine !== ticket) return;
        while (brain.volumes.length > 1) brain.removeVolume(brain.volumes[1]);
        adjust(map, layer, shown, moved);
        brain.addVolume(shown);
        paint();
        if (moved && map.peak) brain.scene.crosshairPos = brain.mm2frac(map.peak);
        brain.drawScene();
        brain.createOnLocationChange();
        say("");
        dialog.dataset.shown = `${map.label} ${layer || "synthetic"}`;
      } catch (error) {
        console.warn(error);
        say(message(error));
      }
    }

    function message(error) {
      if (error.message === "WebGL") return "This browser has no WebGL 2, which the viewer needs.";
      const average = page.averages[page.maps[state.index].average];
      const missing = Object.values(average.scripts)
        .concat(page.library, page.backdrop).find((address) => address === error.message);
      return missing
        ? `The viewer needs the file ${missing} beside this page. Copy the folders “figures” with the report.`
        : "The viewer could not show this map.";
    }

    async function prepare() {
      if (brain) return;
      if (!document.createElement("canvas").getContext("webgl2")) throw new Error("WebGL");
      await loadScript(page.library);
      await loadScript(page.backdrop);
      const viewer = new niivue.Niivue({
        backColor: [0, 0, 0, 1], crosshairColor: [0.55, 0.78, 1, 0.8], crosshairWidth: 0.4,
        dragAndDropEnabled: false, isColorbar: false, show3Dcrosshair: false, loadingText: "",
        multiplanarShowRender: 1, logLevel: "error", textHeight: 0.035, fontMinPx: 11,
      });
      for (const [name, stops] of Object.entries(page.scales)) {
        const steps = stops.map((_, i) => Math.round((255 * i) / (stops.length - 1)));
        const channel = (at) => stops.map((stop) => parseInt(stop.slice(at, at + 2), 16));
        const opacity = stops.map((_, i) => (i ? 255 : 0));
        viewer.addColormap(name, { R: channel(1), G: channel(3), B: channel(5), A: opacity, I: steps });
      }
      await viewer.attachToCanvas(canvas);
      viewer.onLocationChange = locate;
      viewer.addVolume(await niivue.NVImage.loadFromBase64({
        base64: received.get(page.backdrop).anatomy, name: "anatomy.nii.gz", colormap: "gray",
        cal_min: 0, cal_max: 360, // above 255, so that bright colours stand out from middle greys
      }));
      brain = viewer;
      arrange();
    }

    function keepSure(map, overlay, factor) {
      const [scale, unsure] = [map.hdr.scl_slope, overlay.hdr.scl_slope];
      const values = map.img;
      for (let i = 0; i < values.length; i++) {
        // -128 means that there is no interval
        if (overlay.img[i] === -128 || Math.abs(values[i] * scale) <= factor * overlay.img[i] * unsure) values[i] = 0;
      }
    }

    /* Set the ranges of the sliders; their positions stay the same within a task. */
    function adjust(map, layer, shown, moved) {
      const top = layer ? shown.global_max : map.limit;
      const key = layer ? `${map.label} ${layer}` : map.scale;
      const [threshold, limit] = [part("threshold"), part("limit")];
      for (const slider of [threshold, limit]) {
        slider.max = String((1.5 * top).toPrecision(3));
        slider.step = String((top / 200).toPrecision(2));
      }
      threshold.max = String(top.toPrecision(3));
      if (dialog.dataset.scale !== key) {
        threshold.value = String(layer ? 0 : top / 2);
        limit.value = String(top);
      }
      dialog.dataset.scale = key;
    }

    function paint() {
      const map = page.maps[state.index];
      const layer = part("layer").value;
      const [least, most] = [Number(part("threshold").value), Number(part("limit").value)];
      const text = (value) => value.toFixed(most < 1 ? 3 : 2);
      part("threshold-value").textContent = `${text(least)} ${map.units}`;
      part("limit-value").textContent = `${text(most)} ${map.units}`;
      const [cold, warm] = ["negative", "positive"].map((end) => part(end));
      cold.style.background = layer ? "" : page.gradients.negative_reversed;
      warm.style.background = layer ? page.gradients.amount : page.gradients.positive;
      cold.hidden = Boolean(layer);
      warm.style.gridColumn = layer ? "1 / -1" : "";
      part("low").textContent = layer ? "0" : `\u2212${text(most)}`;
      part("high").textContent = layer ? text(most) : `+${text(most)}`;
      const shown = brain && brain.volumes[1];
      if (!shown) return;
      // In NiiVue 0.69, 1 fades values below the threshold, and 2 hides them.
      shown.colormapType = part("fade").checked && !layer ? 1 : 2;
      shown.cal_min = Math.max(least, 1e-6);
      shown.cal_max = Math.max(most, 1.02 * shown.cal_min);
      shown.cal_minNeg = NaN;
      shown.cal_maxNeg = NaN;
      brain.updateGLVolume();
    }

    function arrange() {
      if (!brain) return;
      const kind = part("view").value;
      const kinds = { axial: 0, coronal: 1, sagittal: 2, planes: 3, render: 4 };
      brain.setMultiplanarLayout(2);
      brain.setSliceType(kinds[kind]);
    }

    function locate(place) {
      const [x, y, z] = place.mm;
      const sign = (value) => Math.round(value).toString().replace("-", "\u2212");
      part("place").textContent = `${sign(x)}, ${sign(y)}, ${sign(z)} mm`;
      const value = place.values[1] && place.values[1].value;
      const units = page.maps[state.index].units;
      const gap = part("layer").value && value < 0;
      part("value").textContent = gap ? "no interval" : Number.isFinite(value)
        ? `${value.toFixed(2).replace("-", "\u2212")} ${units}` : "";
    }
  }
})();
