"""The script of the page that shows an episode."""

SCRIPT = r"""
"use strict";
(() => {
const data = JSON.parse(document.getElementById("data").textContent);
const at = id => document.getElementById(id);
const raw = Uint8Array.from(atob(data.spikes), c => c.charCodeAt(0));
const spikes = new DataView(raw.buffer);
const kinds = ["sensory", "pool", "motor"].filter(kind => data.words[kind].length);
const words = kinds.reduce((sum, kind) => sum + data.words[kind].length, 0);
const frame = at("frame"), slider = at("slider");
const ENDS = ["", "the episode ends", "cut short", "the play stops"];
const LANES = 32, WINDOW = 8, GAP = 6, LEFT = 84;
let now = 0, timer = null;

const colour = name => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
const word = (t, cycle, index) => spikes.getUint32(4 * ((t * data.cycles + cycle) * words + index), true);
const text = (x, digits) => x === null ? "not known" : Number(x).toLocaleString("en", {maximumFractionDigits: digits});

function sized(canvas, height) {
  const ratio = window.devicePixelRatio || 1, width = canvas.clientWidth;
  canvas.style.height = height + "px";
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const pen = canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  pen.font = "12px system-ui, 'DejaVu Sans', sans-serif";
  return [pen, width];
}

function drawRaster() {
  const bands = words, spaces = 16 * (kinds.length - 1);
  const row = Math.max(0.6, Math.min(3, (600 - spaces - bands * GAP) / (bands * LANES)));
  const band = row * LANES + GAP, height = bands * band + spaces + 27;
  const [pen, width] = sized(at("raster"), height);
  const cell = (width - LEFT) / (WINDOW * data.cycles);
  const colours = {sensory: colour("blue"), pool: colour("green"), motor: colour("vermilion")};
  pen.fillStyle = colour("chosen");
  pen.globalAlpha = 0.55;
  pen.fillRect(width - cell * data.cycles, 0, cell * data.cycles, height - 24);
  pen.globalAlpha = 1;
  let top = 3, index = 0;
  for (const kind of kinds) {
    const from = top;
    for (const own of data.words[kind]) {
      drawWord(pen, kind, own, index, top, {row, band, cell, width, colour: colours[kind]});
      top += band;
      index += 1;
    }
    label(pen, kind, from, top);
    top += 16;
  }
  pen.strokeStyle = colour("line");
  pen.fillStyle = colour("soft");
  pen.textAlign = "center";
  for (let back = 0; back < WINDOW; back++) {
    const x = width - (back + 1) * cell * data.cycles;
    pen.beginPath();
    pen.moveTo(x, 0);
    pen.lineTo(x, height - 24);
    pen.stroke();
    if (now - back >= 0) pen.fillText(String(now - back), x + cell * data.cycles / 2, height - 8);
  }
}

function drawBits(pen, bits, x, top, wide, row) {
  // neighbours that fire together are one box: boxes less than a pixel high would leave stripes
  for (let lane = 0; lane < LANES; lane++) {
    if (!(bits >>> lane & 1)) continue;
    const first = lane;
    while (lane + 1 < LANES && bits >>> lane + 1 & 1) lane++;
    pen.fillRect(x, top + first * row, wide, Math.max(1, (lane + 1 - first) * row));
  }
}

function drawWord(pen, kind, own, index, top, size) {
  pen.fillStyle = colour("soft");
  pen.textAlign = "right";
  if (size.band >= 11) pen.fillText(String(own), LEFT - 8, top + size.row * 16 + 4);
  for (let back = 0; back < WINDOW; back++) {
    const t = now - back;
    if (t < 0) break;
    const left = size.width - (back + 1) * size.cell * data.cycles, wide = size.cell * data.cycles;
    const acts = kind === "motor" && data.units[t].includes(own);
    pen.fillStyle = size.colour;
    if (kind === "motor" && data.calm) {
      const part = data.chances[t][data.words.motor.indexOf(own)] / 256;
      pen.fillRect(left + 2, top + (1 - part) * size.row * LANES, wide - 4, part * size.row * LANES);
    } else {
      for (let cycle = 0; cycle < data.cycles; cycle++) {
        drawBits(pen, word(t, cycle, index), left + (cycle + 0.1) * size.cell, top, 0.8 * size.cell, size.row);
      }
    }
    if (acts) {
      pen.strokeStyle = colour("ink");
      pen.lineWidth = 1.6;
      pen.strokeRect(left + 1, top - 2, wide - 2, size.row * LANES + 4);
      pen.lineWidth = 1;
    }
  }
}

function label(pen, kind, from, to) {
  pen.save();
  pen.fillStyle = colour("ink");
  pen.translate(14, (from + to - GAP) / 2);
  const shown = data.words[kind].length, there = data.there[kind];
  const name = shown < there ? kind + ", " + shown + " of " + there : kind;
  if (pen.measureText(name).width < to - from) pen.rotate(-Math.PI / 2);
  pen.textAlign = pen.measureText(name).width < to - from ? "center" : "left";
  if (pen.textAlign === "left") pen.translate(-12, 4);
  pen.fillText(name, 0, 0);
  pen.restore();
}

function scale(rows, zero) {
  const known = rows.filter(x => x !== null);
  let low = Math.min(...known), high = Math.max(...known);
  if (!known.length) [low, high] = [0, 1];
  if (zero) [low, high] = [Math.min(low, 0), Math.max(high, 0)];
  if (low === high) [low, high] = [low - 1, high + 1];
  return [low, high];
}

function axis(pen, name, low, high, top, height) {
  pen.fillStyle = colour("soft");
  pen.textAlign = "right";
  pen.fillText(text(high, 2), LEFT - 8, top + 10);
  pen.fillText(text(low, 2), LEFT - 8, top + height);
  pen.fillStyle = colour("ink");
  pen.textAlign = "left";
  pen.fillText(name, 0, top + height / 2 + 4);
}

function drawCurves() {
  const height = 230, [pen, width] = sized(at("curves"), height);
  const step = (width - LEFT - 8) / Math.max(1, data.n - 1), x = t => LEFT + t * step;
  const upper = [6, 118], lower = [138, 66];
  const [low, high] = scale(data.value, false), [least, most] = scale(data.td, true);
  const y = v => upper[0] + (high - v) / (high - low) * upper[1];
  const z = v => lower[0] + (most - v) / (most - least) * lower[1];
  axis(pen, "value", low, high, ...upper);
  axis(pen, "TD", least, most, ...lower);
  pen.strokeStyle = colour("line");
  for (const level of [y(low), z(0)]) {
    pen.beginPath();
    pen.moveTo(LEFT, level);
    pen.lineTo(width, level);
    pen.stroke();
  }
  pen.strokeStyle = colour("blue");
  pen.lineWidth = 1.6;
  pen.beginPath();
  data.value.forEach((v, t) => t ? pen.lineTo(x(t), y(v)) : pen.moveTo(x(t), y(v)));
  pen.stroke();
  pen.fillStyle = colour("vermilion");
  const bar = Math.max(1, 0.6 * step);
  data.td.forEach((d, t) => {
    if (d !== null) pen.fillRect(x(t) - bar / 2, Math.min(z(0), z(d)), bar, Math.abs(z(d) - z(0)));
  });
  pen.strokeStyle = colour("ink");
  pen.lineWidth = 1;
  pen.beginPath();
  pen.moveTo(x(now), 0);
  pen.lineTo(x(now), lower[0] + lower[1]);
  pen.stroke();
  pen.fillStyle = colour("blue");
  pen.beginPath();
  pen.arc(x(now), y(data.value[now]), 4, 0, 7);
  pen.fill();
  pen.fillStyle = colour("soft");
  for (let part = 0; part <= 4; part++) {
    const t = Math.round(part * (data.n - 1) / 4);
    pen.textAlign = part === 4 ? "right" : part ? "center" : "left";
    if (part === 0 || data.n > 8) pen.fillText(String(t), x(t), height - 8);
  }
}

function show(t) {
  now = Math.max(0, Math.min(data.n - 1, t));
  slider.value = String(now);
  const picture = data.frames[Math.floor(now / data.stride)];
  if (picture && frame.src !== picture) frame.src = picture;
  const end = data.end[now] ? " (" + ENDS[data.end[now]] + ")" : "";
  at("t").textContent = now + " of " + (data.n - 1) + end;
  at("action").textContent = data.actions[now];
  at("reward").textContent = text(data.reward[now], 3);
  at("value").textContent = text(data.value[now], 3);
  at("td").textContent = text(data.td[now], 3);
  at("spikes").textContent = text(data.total[now], 0);
  drawRaster();
  drawCurves();
}

function play(going) {
  clearInterval(timer);
  timer = null;
  if (going && now === data.n - 1) show(0);
  const next = () => now < data.n - 1 ? show(now + 1) : play(false);
  if (going) timer = setInterval(next, 1000 / Number(at("speed").value));
  at("play").textContent = going ? "Pause" : "Play";
  at("play").setAttribute("aria-pressed", String(going));
}

slider.addEventListener("input", () => { play(false); show(Number(slider.value)); });
at("play").addEventListener("click", () => play(timer === null));
at("back").addEventListener("click", () => { play(false); show(now - 1); });
at("on").addEventListener("click", () => { play(false); show(now + 1); });
at("speed").addEventListener("change", () => { if (timer !== null) play(true); });
at("curves").addEventListener("click", event => {
  const box = at("curves").getBoundingClientRect();
  show(Math.round((event.clientX - box.left - LEFT) / (box.width - LEFT - 8) * (data.n - 1)));
});
document.addEventListener("keydown", event => {
  if (event.target.tagName === "SELECT" || event.ctrlKey || event.metaKey || event.altKey) return;
  const far = event.shiftKey ? 10 : 1;
  const places = {ArrowLeft: now - far, ArrowRight: now + far, Home: 0, End: data.n - 1};
  if (event.key === " " && event.target.tagName !== "BUTTON") play(timer === null);
  else if (event.key in places) { play(false); show(places[event.key]); }
  else return;
  event.preventDefault();
});
window.addEventListener("resize", () => show(now));
window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => show(now));
const wanted = /^#([0-9]+)$/.exec(location.hash);
show(wanted ? Number(wanted[1]) : 0);
})();
"""
