// Explores the runs of a page: a scatter that turns, a map of errors, sample images; over members and steps.
// Everything that comes from results is set as text, never as markup.
(() => {
  "use strict";
  const MISSING = 65535, CODES = 65534, TURN = Math.PI / 24, SETUP = { responsive: true, displayModeBar: false };
  const dark = matchMedia("(prefers-color-scheme: dark)");

  // Plotly reads a little HTML in its texts: names of a stranger's must stay names
  const plain = (text) => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
  const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const short = (value) => (value === null ? "none" : Number(value.toPrecision(3)).toString());
  const words = (value) => value.toLocaleString("en-US");

  function element(tag, properties = {}, ...children) {
    const made = Object.assign(document.createElement(tag), properties);
    made.append(...children);
    return made;
  }

  // Blocks of 16-bit codes, a member and step each -> columns of numbers, null where a value is missing
  function unpack(packed) {
    const bytes = Uint8Array.from(atob(packed.data), (character) => character.charCodeAt(0));
    const view = new DataView(bytes.buffer);
    const [rows, width] = packed.shape;
    const place = new Map(packed.at.map(([member, step], index) => [`${member} ${step}`, index]));
    return {
      steps: (member) => packed.at.filter((at) => at[0] === member).map((at) => at[1]),
      column(member, step, k) {
        const block = place.get(`${member} ${step}`);
        if (block === undefined) return null;
        return Array.from({ length: rows }, (_, row) => {
          const code = view.getUint16(2 * ((block * rows + row) * width + k), true);
          return code === MISSING ? null : packed.low[block] + (packed.span[block] * code) / CODES;
        });
      },
    };
  }

  // Dots must be seen on both backgrounds: the end of a scale that is like the background is left out
  function scale(colors, cyclic) {
    const light = colors.map((hex) => parseInt(hex.slice(1, 3), 16) + 2 * parseInt(hex.slice(3, 5), 16));
    const first = light[0] < light[light.length - 1];
    const cut = cyclic ? [0, 0] : dark.matches === first ? [3, 0] : [0, 2];
    const kept = colors.slice(cut[0], colors.length - cut[1]);
    return kept.map((hex, index) => [index / (kept.length - 1), hex]);
  }

  function explore(root) {
    const data = JSON.parse(root.querySelector("script.explored").textContent);
    const labels = unpack(data.labels), errors = unpack(data.errors);
    const views = [
      ...data.views.map((view) => ({ ...view, points: unpack(view.points) })),
      ...data.fields.map((field) => ({ ...field, surface: true, points: unpack(field.points) })),
    ];
    const strides = data.axes.map((_, axis) => data.axes.slice(axis + 1).reduce((all, next) => all * next.values.length, 1));
    const chosen = { at: [...data.best], view: 0, color: 0, across: 0, up: 1, step: null };
    const member = () => chosen.at.reduce((sum, at, axis) => sum + at * strides[axis], 0);

    const cloud = element("div", { className: "cloud", tabIndex: 0 });
    cloud.setAttribute("role", "application");
    cloud.setAttribute("aria-roledescription", "3-D scatter plot");
    const map = element("div", { className: "map" });
    map.setAttribute("role", "img");
    const canvas = element("canvas", { className: "samples" });
    canvas.setAttribute("role", "img");
    const sampleCaption = element("figcaption");
    const status = element("p", { className: "status" });
    status.setAttribute("role", "status");

    function select(label, options, value, change) {
      const made = element("select", {}, ...options.map((text, index) => element("option", { value: index }, text)));
      made.value = value;
      made.addEventListener("change", () => change(Number(made.value)));
      return element("label", {}, label, made);
    }

    const slider = element("input", { type: "range", min: 0, step: 1, name: "step" });
    const at = element("span");
    const controls = element("form", { className: "controls" });
    controls.setAttribute("aria-label", "What is shown");
    controls.addEventListener("submit", (event) => event.preventDefault());
    const shown = select("shown", views.map((view) => view.name), 0, (value) => {
      chosen.view = value;
      draw();
    });
    const colored = select("colored by", [...data.factors.map((factor) => factor.label), `error (${data.unit})`], 0, (value) => {
      chosen.color = value;
      draw();
    });
    controls.append(shown);
    data.axes.forEach((axis, index) => {
      if (axis.values.length > 1) {
        controls.append(select(axis.name, axis.values, chosen.at[index], (value) => {
          chosen.at[index] = value;
          draw();
        }));
      }
    });
    controls.append(colored);
    if (data.factors.length > 2) {
      const names = data.factors.map((factor) => factor.label);
      controls.append(select("map across", names, 0, (value) => { chosen.across = value; draw(); }));
      controls.append(select("map up", names, 1, (value) => { chosen.up = value; draw(); }));
    }
    const caption = element("span", {}, "checkpoint, ", at);
    controls.append(element("label", { className: "slider" }, caption, slider));
    slider.addEventListener("input", () => {
      chosen.step = views[chosen.view].points.steps(member())[Number(slider.value)];
      draw();
    });

    root.append(controls, status, element("div", { className: "views" },
      element("figure", {}, cloud, element("figcaption", {},
        "Drag, or focus it and press the arrow keys, to turn; scroll, pinch, or + and - to zoom.")),
      element("div", {},
        element("figure", {}, map, element("figcaption", {}, "Error of every sample, at the label asked for; crosses were not read.")),
        element("figure", {}, canvas, sampleCaption))));
    data.notes.forEach((note) => root.append(element("p", { className: "faint" }, note)));

    // The step that is nearest to the one that was chosen, of those that the view stores of this member
    function stepOf(view) {
      const steps = view.points.steps(member());
      if (!steps.length) return null;
      const wanted = chosen.step === null ? steps[steps.length - 1] : chosen.step;
      return steps.reduce((best, step) => (Math.abs(step - wanted) < Math.abs(best - wanted) ? step : best));
    }

    const base = () => ({
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", showlegend: false,
      font: { color: color("--text"), family: "system-ui, sans-serif", size: 12 },
    });

    function bar(title, limits) {
      return {
        title: { text: plain(title), side: "top" }, orientation: "h", thickness: 12, len: 0.9, x: 0.5, y: 0,
        yanchor: "top", outlinewidth: 0, nticks: 5, ...limits,
      };
    }

    function coloring(step) {
      const of = member();
      if (chosen.color < data.factors.length) {
        const factor = data.factors[chosen.color];
        return {
          color: labels.column(of, 0, chosen.color), cmin: factor.low, cmax: factor.high,
          colorscale: scale(factor.colors, factor.cyclic), colorbar: bar(`asked ${factor.label}`),
        };
      }
      const found = errors.column(of, step, 0);
      if (found === null) return { color: color("--faint") };
      return {
        color: found.map((error) => (error === null ? null : Math.min(error, data.top))), ...errorScale(),
        colorbar: bar(`error (${data.unit}), ${data.top} and more are one color`),
      };
    }

    const errorScale = () => ({ cmin: 0, cmax: data.top, colorscale: scale(data.error_colors, false) });

    function hover(step) {
      const of = member(), found = errors.column(of, step, 0);
      const asked = data.factors.map((_, k) => labels.column(of, 0, k));
      return asked[0].map((_, row) => {
        const label = data.factors.map((factor, k) => `${plain(factor.name)} ${short(asked[k][row])}`).join(", ");
        if (found === null) return `${label}<br>error not stored at this step`;
        return `${label}<br>${found[row] === null ? "not read" : `error ${short(found[row])} ${plain(data.unit)}`}`;
      });
    }

    function axis(title, values) {
      const made = {
        title: { text: plain(title) }, color: color("--faint"), gridcolor: color("--line"), zeroline: false,
        backgroundcolor: color("--soft"), showbackground: true, showspikes: false, nticks: 5,
      };
      return title ? { ...made, ...values } : { ...made, showticklabels: false, ...values };
    }

    function drawCloud(view, step) {
      const of = member(), keep = { uirevision: "camera" };
      const layout = { ...base(), ...keep, margin: { l: 0, r: 0, t: 0, b: 62 }, scene: { ...keep, dragmode: "orbit" } };
      let trace;
      if (view.surface) {
        const columns = view.timesteps.map((_, k) => view.points.column(of, step, k));
        trace = {
          type: "surface", z: view.layers.map((_, row) => columns.map((column) => column[row])),
          colorscale: "Viridis", colorbar: bar(view.name), x: view.timesteps.map((_, k) => k),
        };
        const ticks = (names) => ({ tickvals: names.map((_, k) => k), ticktext: names.map(plain) });
        layout.scene.xaxis = axis("diffusion step t", ticks(view.timesteps));
        layout.scene.yaxis = axis("layer", ticks(view.layers));
        layout.scene.zaxis = axis(view.name);
        layout.scene.aspectmode = "cube";
      } else {
        const [x, y, z] = [0, 1, 2].map((k) => view.points.column(of, step, k));
        trace = {
          type: "scatter3d", mode: "markers", x, y, z, text: hover(step), hoverinfo: "text",
          marker: { size: x.length > 400 ? 3 : 4.5, ...coloring(step) },
        };
        ["xaxis", "yaxis", "zaxis"].forEach((name, k) => { layout.scene[name] = axis(view.axes[k]); });
        layout.scene.aspectmode = view.axes[0] ? "auto" : "data";
      }
      cloud.setAttribute("aria-label", describe(view, step));
      return Plotly.react(cloud, [trace], layout, SETUP);
    }

    function drawMap(step) {
      const of = member(), found = step === null ? null : errors.column(of, step, 0);
      const one = data.factors.length === 1, asked = (k) => labels.column(of, 0, k);
      const across = data.factors[chosen.across], up = data.factors[chosen.up];
      const read = found === null ? [] : found.map((error) => error !== null);
      const trace = {
        type: "scatter", mode: "markers", x: asked(chosen.across),
        y: one ? (found || asked(0).map(() => 0)) : asked(chosen.up), text: step === null ? [] : hover(step), hoverinfo: "text",
        marker: {
          size: 6, symbol: read.map((known) => (known ? "circle" : "x-thin")),
          line: { width: read.map((known) => (known ? 0 : 1)), color: color("--faint") },
          color: found === null ? color("--line") : found.map((error) => (error === null ? 0 : Math.min(error, data.top))),
          ...errorScale(), showscale: found !== null,
          colorbar: { title: { text: plain(data.unit) }, thickness: 12, outlinewidth: 0, nticks: 5 },
        },
      };
      const plane = !one && across.name === "x" && up.name === "y";
      const line = { color: color("--faint"), gridcolor: color("--line"), zeroline: false, fixedrange: true };
      const layout = {
        ...base(), margin: { l: 46, r: 8, t: 8, b: 40 }, dragmode: false,
        xaxis: { ...line, title: { text: plain(across.label), standoff: 4 }, constrain: "domain" },
        yaxis: {
          ...line, title: { text: plain(one ? `error (${data.unit})` : up.label), standoff: 4 },
          ...(plane ? { autorange: "reversed", scaleanchor: "x", constrain: "domain" } : {}),
        },
      };
      const bad = found === null ? "" : `: ${words(read.filter((known) => !known).length)} of ${words(read.length)} not read, ` +
        `median of the others ${short(median(found))} ${data.unit}`;
      map.setAttribute("aria-label", found === null ? "Map of errors: none is stored at this step." : `Map of the errors of all samples${bad}.`);
      return Plotly.react(map, [trace], layout, SETUP);
    }

    function median(values) {
      const known = values.filter((value) => value !== null).sort((a, b) => a - b);
      return known.length ? known[Math.floor(known.length / 2)] : null;
    }

    const pictures = new Map();
    function drawSamples(step) {
      const of = member(), sheets = data.sheets, row = sheets ? sheets.steps[of].indexOf(step) : -1;
      canvas.hidden = row < 0;
      sampleCaption.textContent = row < 0 ? "No sample image is stored at this step." :
        "Samples at this step" + (data.dots ? "; red: the center asked for." : ".");
      if (row < 0) return;
      if (!pictures.has(of)) {
        const picture = new Image();
        picture.addEventListener("load", () => draw());
        pictures.set(of, picture);
        picture.src = sheets.images[of];
      }
      const picture = pictures.get(of);
      if (!picture.complete) return;
      const [wide, high] = sheets.side, side = Math.ceil(Math.sqrt(sheets.count)), zoom = Math.max(4, Math.floor(64 / wide));
      const gap = 8, width = wide * zoom, height = high * zoom;
      canvas.width = side * (width + gap) - gap;
      canvas.height = Math.ceil(sheets.count / side) * (height + gap) - gap;
      const pen = canvas.getContext("2d");
      pen.imageSmoothingEnabled = false;
      for (let index = 0; index < sheets.count; index++) {
        const left = (index % side) * (width + gap), top = Math.floor(index / side) * (height + gap);
        pen.drawImage(picture, index * wide, row * high, wide, high, left, top, width, height);
        Object.assign(pen, { strokeStyle: "#9a9a9a", lineWidth: 1 });
        pen.strokeRect(left + 0.5, top + 0.5, width - 1, height - 1);
        const center = data.dots && data.dots[of][index];
        if (!center || center[0] === null || center[0] < -0.5 || center[1] < -0.5 || center[0] >= wide - 0.5 || center[1] >= high - 0.5) continue;
        pen.beginPath();
        pen.arc(left + (center[0] + 0.5) * zoom, top + (center[1] + 0.5) * zoom, Math.max(3, zoom / 2), 0, 2 * Math.PI);
        Object.assign(pen, { fillStyle: "#e8112d", strokeStyle: "#ffffff", lineWidth: 1.5 });
        pen.fill();
        pen.stroke();
      }
      canvas.setAttribute("aria-label", `${sheets.count} sample images of ${named()} at step ${words(data.steps[step])}` +
        (data.dots ? ", each with a red dot at the center asked for." : "."));
    }

    const named = () => data.axes.map((axis, index) => `${axis.name}: ${axis.values[chosen.at[index]]}`).join(", ");

    function describe(view, step) {
      const what = view.surface ? `Surface of the ${view.name} over layers and diffusion steps` :
        `3-D scatter of ${words(view.points.column(member(), step, 0).filter((x) => x !== null).length)} points: ${view.name}`;
      const by = view.surface ? "" : `, colored by ${colored.querySelector("select").selectedOptions[0].textContent}`;
      return `${what}, ${named()}, step ${words(data.steps[step])}${by}.`;
    }

    function draw() {
      const view = views[chosen.view], steps = view.points.steps(member()), step = stepOf(view);
      slider.max = Math.max(0, steps.length - 1);
      slider.value = Math.max(0, steps.indexOf(step));
      slider.disabled = steps.length < 2;
      if (step === null) {
        at.textContent = "none stored";
        status.textContent = `Of ${named()} no ${view.name} is stored.`;
        Plotly.purge(cloud);
        cloud.setAttribute("aria-label", status.textContent);
        drawMap(null);
        drawSamples(-1);
        return;
      }
      const of = member(), count = data.steps.length;
      at.textContent = `step ${words(data.steps[step])}` + (steps.length < count ? ` (${steps.length} of ${count} are here)` : "");
      slider.setAttribute("aria-valuetext", `step ${words(data.steps[step])}`);
      const parts = [`${named()}; step ${words(data.steps[step])}: accuracy ${short(data.accuracy[of][step])}`];
      if (data.loss[of][step] !== null) parts.push(`loss ${short(data.loss[of][step])}`);
      const last = chosen.color === data.factors.length && errors.column(of, step, 0) === null && !view.surface;
      status.textContent = parts.join(", ") + "." + (last ? " Errors of single samples are not stored at this step: the points are gray." : "");
      drawCloud(view, step);
      drawMap(step);
      drawSamples(step);
    }

    const TURNS = { ArrowLeft: [TURN, 0], ArrowRight: [-TURN, 0], ArrowUp: [0, TURN], ArrowDown: [0, -TURN] };
    cloud.addEventListener("keydown", (event) => {
      const zoom = { "+": 0.9, "-": 1 / 0.9 }[event.key] || 1, [around, over] = TURNS[event.key] || [0, 0];
      if (zoom === 1 && !around && !over) return;
      event.preventDefault();
      const { x, y, z } = cloud._fullLayout.scene.camera.eye;
      const far = Math.hypot(x, y, z), flat = Math.atan2(y, x) + around;
      const high = Math.max(-1.5, Math.min(1.5, Math.asin(z / far) + over)), away = far * zoom;
      const eye = { x: away * Math.cos(high) * Math.cos(flat), y: away * Math.cos(high) * Math.sin(flat), z: away * Math.sin(high) };
      Plotly.relayout(cloud, { "scene.camera.eye": eye });
    });
    dark.addEventListener("change", draw);
    draw();
    root.querySelector(".stills").hidden = true;
    root.dataset.ready = "true";
  }

  for (const root of document.querySelectorAll(".explorer")) {
    const run = root.closest("details.run");
    if (!run) explore(root);
    else run.addEventListener("toggle", () => run.open && explore(root), { once: true });
  }
})();
