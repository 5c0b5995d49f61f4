"use strict";
/* The viewer of maps: NiiVue in a dialog. Volumes come as scripts, as pages opened as files may
   not fetch them; each script calls dtgVolumes(name, {key: base64 of a .nii.gz}). */
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
    if (data) start(JSON.parse(data.textContent));
  });

  function start(page) {
    root = page.root;
    const dialog = document.querySelector("dialog.viewer");
    const part = (name) => dialog.querySelector(`[data-part="${name}"]`);
    const canvas = part("canvas");
    const state = { index: 0, sure: false };
    let brain = null; // the Niivue, made at the first opening
    let cortex = null; // another Niivue with both hemispheres, made at the first map on them
    let ticket = 0; // of the newest opening: what is loaded for an older one is dropped

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
    part("turn").addEventListener("change", turn);
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
      const layers = [["", "Map"], ...map.overlays.map((one) => [one.desc, one.title])];
      const kept = sameAverage ? part("layer").value : "";
      part("layer").replaceChildren(...layers.map(([value, text]) => new Option(text, value)));
      part("layer").value = layers.some(([value]) => value === kept) ? kept : "";
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
        await showSurface(map, layer, mine);
        if (mine !== ticket) return;
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
      const missing = Object.values(average.scripts).concat(Object.values(average.surface ?? {}))
        .concat(page.library, page.backdrop).find((one) => one === error.message);
      return missing
        ? `The viewer needs the file ${missing} beside this page. Copy the folders “figures” with the report.`
        : "The viewer could not show this map.";
    }

    async function prepare() {
      if (brain) return;
      if (!document.createElement("canvas").getContext("webgl2")) throw new Error("WebGL");
      await loadScript(page.library);
      await loadScript(page.backdrop);
      const made = new niivue.Niivue({
        backColor: [0, 0, 0, 1], crosshairColor: [0.55, 0.78, 1, 0.8], crosshairWidth: 0.4,
        dragAndDropEnabled: false, isColorbar: false, show3Dcrosshair: false, loadingText: "",
        multiplanarShowRender: 1, logLevel: "error", textHeight: 0.035, fontMinPx: 11,
      });
      addScales(made);
      await made.attachToCanvas(canvas);
      made.onLocationChange = locate;
      made.addVolume(await niivue.NVImage.loadFromBase64({
        base64: received.get(page.backdrop).anatomy, name: "anatomy.nii.gz", colormap: "gray",
        cal_min: 0, cal_max: 360, // of 255: bright colours stand out from middle greys
      }));
      brain = made;
      arrange();
    }

    function addScales(made) {
      for (const [name, stops] of Object.entries(page.scales)) {
        const steps = stops.map((_, i) => Math.round((255 * i) / (stops.length - 1)));
        const channel = (at) => stops.map((stop) => parseInt(stop.slice(at, at + 2), 16));
        made.addColormap(name, { R: channel(1), G: channel(3), B: channel(5), A: stops.map((_, i) => (i ? 255 : 0)), I: steps });
      }
    }

    /* The cortex beside the slices, where the average has values at its vertices. */
    async function showSurface(map, layer, mine) {
      const surface = page.averages[map.average].surface;
      const wanted = Boolean(surface) && !layer && !state.sure;
      if (wanted) await Promise.all([loadScript(surface.mesh), loadScript(surface.values)]);
      const values = wanted ? received.get(surface.values)[map.label] : null;
      if (mine !== ticket) return;
      dialog.classList.toggle("with-surface", Boolean(values));
      part("surface").hidden = part("turn-row").hidden = !values;
      dialog.dataset.surface = "";
      if (!values) return;
      await prepareSurface(surface.mesh);
      const copy = await niivue.NVImage.loadFromBase64({ base64: values, name: `${map.label}.nii.gz` });
      if (mine !== ticket) return;
      const half = copy.img.length / 2;
      cortex.meshes.forEach((mesh, side) => {
        const own = copy.img.subarray(side * half, (side + 1) * half);
        // -128: the medial wall, and where no voxel of the model is near
        const known = Float32Array.from(own, (step) => (step === -128 ? 0 : step * copy.hdr.scl_slope));
        mesh.layers = [{
          values: known, frame4D: 0, nFrame4D: 1, opacity: 1, outlineBorder: 0,
          colormap: "dtg-positive", colormapNegative: "dtg-negative", useNegativeCmap: true,
          isTransparentBelowCalMin: true, isAdditiveBlend: false, colorbarVisible: false,
          global_min: -map.limit, global_max: map.limit, cal_minNeg: NaN, cal_maxNeg: NaN,
        }];
      });
      paintSurface();
      dialog.dataset.surface = map.label;
    }

    async function prepareSurface(address) {
      if (!cortex) {
        const made = new niivue.Niivue({
          backColor: [0, 0, 0, 1], isColorbar: false, dragAndDropEnabled: false, show3Dcrosshair: false,
          loadingText: "", logLevel: "error", isOrientCube: false,
        });
        addScales(made);
        await made.attachToCanvas(part("surface-canvas"));
        made.setSliceType(4);
        cortex = made;
      }
      if (cortex.shown === address) return;
      while (cortex.meshes.length) cortex.removeMesh(cortex.meshes[0]);
      for (const side of ["L", "R"]) {
        const bytes = Uint8Array.from(atob(received.get(address)[side]), (char) => char.charCodeAt(0));
        const mesh = await niivue.NVMesh.readMesh(bytes.buffer, `${side}.mz3`, cortex.gl, 1, new Uint8Array([190, 190, 190, 255]));
        cortex.addMesh(mesh);
      }
      cortex.shown = address;
      turn();
    }

    function turn() {
      if (!cortex) return;
      const kind = part("turn").value;
      const inside = kind.endsWith("inside");
      const from = {
        left: [90, 0], right: [270, 0], above: [0, 90], below: [180, -90], front: [180, 0], back: [0, 0],
        "left inside": [270, 0], "right inside": [90, 0],
      }[kind];
      cortex.meshes.forEach((mesh, side) => {
        mesh.visible = !inside || kind.startsWith(side ? "right" : "left");
      });
      cortex.setRenderAzimuthElevation(...from);
      cortex.setScale(1.12); // fills the canvas, and has room to be turned
      cortex.drawScene();
    }

    function paintSurface() {
      if (!cortex) return;
      const [least, most] = [Number(part("threshold").value), Number(part("limit").value)];
      for (const mesh of cortex.meshes) {
        for (const layer of mesh.layers) {
          layer.colormapType = part("fade").checked ? 2 : 1;
          layer.cal_min = Math.max(least, 1e-6);
          layer.cal_max = Math.max(most, 1.02 * layer.cal_min);
        }
        mesh.updateMesh(cortex.gl);
      }
      cortex.drawScene();
    }

    function keepSure(map, overlay, factor) {
      const [scale, unsure] = [map.hdr.scl_slope, overlay.hdr.scl_slope];
      const values = map.img;
      for (let i = 0; i < values.length; i++) {
        // -128: there is no interval
        if (overlay.img[i] === -128 || Math.abs(values[i] * scale) <= factor * overlay.img[i] * unsure) values[i] = 0;
      }
    }

    /* Ranges of the sliders for what is shown; they stay where they are within a task. */
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
      // What NiiVue 0.69 does with these numbers: 1 fades below the threshold, 2 hides.
      shown.colormapType = part("fade").checked && !layer ? 1 : 2;
      shown.cal_min = Math.max(least, 1e-6);
      shown.cal_max = Math.max(most, 1.02 * shown.cal_min);
      shown.cal_minNeg = NaN;
      shown.cal_maxNeg = NaN;
      brain.updateGLVolume();
      if (!layer) paintSurface();
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
