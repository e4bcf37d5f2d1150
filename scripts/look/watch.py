"""The page of an episode: environment, spikes, value and TD error side by side, in one file that works offline."""

import base64
import html
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hebbit.agents.files import atomic_write_text
from hebbit.scripts.look.episode import Episode
from hebbit.scripts.look.style import STYLE
from hebbit.scripts.look.watch_script import SCRIPT

OWN_STYLE = """
main { max-width: 1320px; padding: 14px 20px 24px; }
.top { display: grid; grid-template-columns: minmax(260px, 380px) 1fr; gap: 14px; margin-top: 12px; }
.card { background: var(--paper); border: 1px solid var(--line); border-radius: 8px; padding: 10px; min-width: 0; }
.side { display: flex; flex-direction: column; gap: 10px; }
img#frame { display: block; width: 100%; border-radius: 4px; background: #fff; }
.controls { display: flex; flex-wrap: wrap; align-items: center; gap: 8px; }
button, select { font: inherit; font-size: .9rem; color: var(--ink); background: var(--ground);
  border: 1px solid var(--line); border-radius: 6px; padding: 4px 10px; min-height: 34px; cursor: pointer; }
#play { min-width: 78px; }
input[type=range] { width: 100%; accent-color: var(--blue); margin: 0; }
table { border-collapse: collapse; width: 100%; font-size: .92rem; font-variant-numeric: tabular-nums; }
th { text-align: left; font-weight: normal; color: var(--soft); padding: 1px 0; }
td { text-align: right; padding: 1px 0; overflow-wrap: anywhere; }
canvas { display: block; width: 100%; }
#lines { margin-top: 14px; cursor: pointer; }
.key { font-size: .82rem; color: var(--soft); margin: 0; max-width: none; }
kbd { border: 1px solid var(--line); border-radius: 4px; padding: 0 5px; font: inherit; }
@media (max-width: 820px) { .top { grid-template-columns: 1fr; } }
"""
BODY = """
<main>
<h1>{title}</h1>
<p class="soft">{about}</p>
<div class="top">
<div class="side">
<div class="card">{picture}
<input id="slider" type="range" min="0" max="{last}" value="0" step="1" aria-label="presentation">
<div class="controls"><button id="play" type="button" aria-pressed="false">Play</button>
<button id="back" type="button" aria-label="one presentation back">&#8592;</button>
<button id="on" type="button" aria-label="one presentation on">&#8594;</button>
<label class="key">speed <select id="speed"><option value="2">2 a second</option><option value="8">8 a second</option>
<option value="15" selected>15 a second</option><option value="30">30 a second</option></select></label></div></div>
<div class="card"><table><tbody>
<tr><th>presentation</th><td id="t"></td></tr><tr><th>action</th><td id="action"></td></tr>
<tr><th>reward</th><td id="reward"></td></tr><tr><th>value</th><td id="value"></td></tr>
<tr><th>TD error</th><td id="td"></td></tr><tr><th>spikes (sensory, pool)</th><td id="spikes"></td></tr>
</tbody></table></div>
<p class="key"><kbd>space</kbd> play, <kbd>&#8592;</kbd> <kbd>&#8594;</kbd> step, with <kbd>shift</kbd> ten,
<kbd>home</kbd> <kbd>end</kbd>. Value and TD error are in units of reward; the TD error is known after the action.</p>
</div>
<div class="card"><canvas id="raster" height="620" role="img" aria-label="spikes of the latest presentations"></canvas>
<p class="key">{raster}</p></div>
</div>
<div class="card" id="lines"><canvas id="curves" height="230" role="img" aria-label="value and TD error"></canvas>
<p class="key">Value (line) and TD error (bars) over the episode; click to go there.</p></div>
</main>
"""


def write_page(episode: Episode, path: Path) -> None:
    """Write the page of an episode."""
    shown = "framed: the unit that acts. " + (
        "Motor bars: the chance to fire."
        if episode.deterministic
        else "One motor spike, drawn at random, is the action."
    )
    raster = f"Spikes, one column a cycle, one band a word of 32 neurons; right: this presentation; {shown}"
    picture = '<img id="frame" alt="the environment">'
    if episode.frames.problem is not None:
        picture = f'<p class="soft" id="frame">{html.escape(episode.note)}</p>'
    title = html.escape(f"{episode.title}: one episode")
    texts = {"title": title, "about": html.escape(episode.about), "picture": picture, "raster": html.escape(raster)}
    body = BODY.format(**texts, last=len(episode.recording) - 1)
    # a tag within the data would end the script
    content = json.dumps(data(episode), allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    text = (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{STYLE}{OWN_STYLE}</style>\n</head>\n<body>{body}"
        f'<script type="application/json" id="data">{content}</script>\n<script>{SCRIPT}</script>\n</body>\n</html>\n'
    )
    atomic_write_text(path, text)


def data(episode: Episode) -> dict[str, Any]:
    """What the page's script reads; spikes are little-endian words of 32 bits [N, C, words shown], in base64."""
    recording, words = episode.recording, episode.words
    spikes = np.concatenate([getattr(recording, kind)[:, :, chosen] for kind, chosen in words.items()], axis=2)
    starts = np.concatenate([[0], np.cumsum(recording.groups)[:-1]])
    total = sum(recording.counts(kind).sum(axis=(1, 2), dtype=np.int64) for kind in ("sensory", "pool"))
    frames = [_uri(picture) for picture in episode.frames.coded]
    return {
        "n": len(recording),
        "cycles": recording.pool.shape[1],
        "words": {kind: chosen.tolist() for kind, chosen in words.items()},
        "there": {kind: getattr(recording, kind).shape[2] for kind in words},
        "spikes": base64.b64encode(np.ascontiguousarray(spikes, "<u4").tobytes()).decode(),
        "calm": episode.deterministic,
        "chances": recording.chances[:, words["motor"]].tolist(),
        "units": (recording.units + starts).tolist(),
        "actions": episode.actions,
        "value": _plain(recording.value.mean(axis=1) / recording.unit),
        "td": _plain(recording.td.mean(axis=1) / recording.unit),
        "reward": _plain(recording.reward),
        "total": np.asarray(total).tolist(),
        "end": recording.end.tolist(),
        "frames": frames,
        "stride": episode.frames.stride,
    }


def _plain(numbers: NDArray[np.float64]) -> list[float | None]:
    """Six digits are enough to be looked at; null where there is no number."""
    return [float(f"{number:.6g}") if np.isfinite(number) else None for number in numbers]


def _uri(picture: bytes) -> str:
    kind = "png" if picture[:4] == b"\x89PNG" else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(picture).decode()}"
