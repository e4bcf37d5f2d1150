"""The page of an inspection: all pictures with what they mean, in one file."""

import base64
import html
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hebbit.agents.files import atomic_write_text
from hebbit.scripts.look.folder import ARRAYS, FIGURES, INDEX, VIDEO, WATCH
from hebbit.scripts.look.style import STYLE

OWN_STYLE = """
dl { display: grid; grid-template-columns: repeat(auto-fill, minmax(200px, 1fr)); gap: 10px; margin: 18px 0 0; }
dl div { background: var(--paper); border: 1px solid var(--line); border-radius: 8px; padding: 10px 14px; }
dt { color: var(--soft); font-size: .82rem; line-height: 1.3; }
dd { margin: 2px 0 0; font-size: 1.3rem; font-variant-numeric: tabular-nums; line-height: 1.25; }
dd small { font-size: .8rem; color: var(--soft); }
figure { margin: 0; background: #fff; border: 1px solid var(--line); border-radius: 8px; padding: 12px; }
figure img { display: block; width: 100%; max-width: 1000px; height: auto; margin: 0 auto; }
nav { display: flex; flex-wrap: wrap; gap: 4px 16px; margin: 14px 0 0; font-size: .95rem; }
@media (prefers-color-scheme: dark) { figure img { filter: brightness(.93); } figure { background: #ededed; } }
@media print { nav { display: none; } figure { break-inside: avoid; } }
"""


def _share(value: float) -> str:
    return f"{value:.1%}" if value < 0.0995 else f"{value:.0%}"


def _number(value: float | None, digits: int = 4) -> str:
    return "not known" if value is None else f"{value:,.{digits}g}"


def tiles(content: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """What the page says first: name, figure, and what it is to be compared with."""
    activity, actions, values = content["activity"], content["actions"], content["values"]
    neurons = activity.get("pool") or activity["sensory"]
    kind = "pool" if "pool" in activity else "sensory"
    spikes = sum(activity[name]["spikes_per_action"] for name in ("sensory", "pool") if name in activity)
    parts = len(actions)
    found = [
        ("spikes behind an action", f"{spikes:,.0f}", "sensory and pool"),
        (f"{kind} neurons active", _share(neurons["active_share"]), "in a presentation"),
        (f"{kind} neurons silent", _share(neurons["silent_share"]), "in the whole play"),
        (f"{kind} neurons saturated", _share(neurons["saturated_share"]), ""),
        (f"rate of a {kind} neuron", f"{neurons['rate']:.3f}", f"of {activity['cycles']} spikes"),
        (
            "entropy of the policy",
            f"{sum(part['entropy_of_policy'] for part in actions) / parts:.2f} bit",
            f"of {sum(part['most_entropy'] for part in actions) / parts:.2f}" + " by part" * (parts > 1),
        ),
        (
            "entropy of actions taken",
            f"{sum(part['entropy_of_actions'] for part in actions) / parts:.2f} bit",
            f"of {sum(part['most_entropy'] for part in actions) / parts:.2f}" + " by part" * (parts > 1),
        ),
        ("TD error", _number(values["td_rms"], 3), "root mean square, in units of reward"),
        ("value and return agree", _number(values["return_correlation"], 2), "correlation"),
    ]
    if content["return_mean"] is not None:
        found.insert(
            0, ("mean return", _number(content["return_mean"]), f"{content['episodes']['whole']} whole episodes")
        )
    return found


def captions(content: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """Title and sentence of each picture, by file name."""
    activity, values, synapses = content["activity"], content["values"], content["synapses"]
    pool, weights, traces = activity.get("pool"), synapses["weights"]["all"], synapses["traces"]["all"]
    fires = "" if pool is None else (
        f"{_share(pool['silent_share'])} of {pool['neurons']:,} pool neurons never fired, "
        f"{_share(pool['saturated_share'])} gave at least nine tenths of all spikes they could. "
    )  # fmt: skip
    told = content["information"]
    best = max(told.values(), default=0.0)
    told_most = f"The best tells {best:.2f} bits. " if told else ""
    return {
        "raster.png": (
            "Spikes",
            "Every mark is a spike. Each column is one cycle, a band is a word of 32 neurons; these presentations are "
            "of a stochastic play, in which one motor spike is drawn as the action (its unit is framed).",
        ),
        "rates.png": (
            "Rates",
            f"{fires}A sparse pool is one in which few neurons speak at a time: here "
            f"{_share((pool or activity['sensory'])['active_share'])} in a presentation.",
        ),
        "tuning.png": (
            "Tuning curves",
            "Mean spikes of the neurons that tell most about each number of the observation, by that number. "
            f"{told_most}Information is that of firing at all, less the bias of a small sample.",
        ),
        "preferred.png": (
            "Preferred values",
            "Each row is a pool neuron that fires, each column a bin of the observation; rows are sorted by where they "
            "fire most. A diagonal means that the neurons cover the range; a gap in it is a value that none prefers.",
        ),
        "fields.png": (
            "Fields",
            "Pool neurons fire where all their sources do: a place in two or more numbers of the observation. Shown "
            "are mean spikes over the two numbers of which most is told.",
        ),
        "value.png": (
            "Value, TD error, reward",
            f"The value is bounded by {values['value_bound']:.4g}; here it ran from {values['value_least']:.4g} to "
            f"{values['value_most']:.4g}. The TD error r + gamma V' - V is what dopamine would be. Value and the "
            f"discounted return that came correlate with {_number(values['return_correlation'], 2)}.",
        ),
        "actions.png": (
            "Actions",
            "How often each motor unit was chosen, the mean probability that the policy gave it, and how unsure the "
            "policy was from presentation to presentation.",
        ),
        "weights.png": (
            "Weights",
            f"All plastic synapses: an image for each output, a column for each word, its 32 neurons from top to "
            f"bottom. {_share(weights['zero_share'])} are zero, {_share(weights['bound_share'])} are at a bound.",
        ),
        "traces.png": (
            "Traces",
            f"The eligibility traces as the checkpoint holds them: which synapses the next TD error would move. "
            f"{_share(traces['zero_share'])} are zero, {_share(traces['bound_share'])} are full.",
        ),
    }  # fmt: skip


def write_index(folder: Path, content: Mapping[str, Any]) -> None:
    """Write the page of the pictures that are in the folder."""
    shown = {name: text for name, text in captions(content).items() if (folder / name).exists()}
    title = html.escape(f"{content['env_id']}: inside the brain")
    parts = [
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{title}</title>\n<style>{STYLE}{OWN_STYLE}</style>\n</head>\n<body>\n<main>",
        f'<h1>{title}</h1>\n<p class="soft">{html.escape(_about(content))}</p>',
        _tiles_html(content),
        _links(folder, shown),
        *(_section(folder, name, *text) for name, text in shown.items()),
        f'<p class="soft">The figures are in {FIGURES}, the arrays in {ARRAYS}.</p>',
        "</main>\n</body>\n</html>\n",
    ]
    atomic_write_text(folder / INDEX, "\n".join(parts))


def _about(content: Mapping[str, Any]) -> str:
    how = "the strongest unit acts" if content["deterministic"] else "actions are drawn from the spikes"
    every = "" if content["every"] == 1 else f", every {content['every']}th kept"
    brain = "" if content["brains"] == 1 else f"brain {content['brain']} of {content['brains']}, "
    return (
        f"{content['checkpoint']}, {brain}{content['timesteps']:,} steps of training, backend {content['backend']}; "
        f"{content['observations']:,} observations played without learning{every}, seed {content['seed']}: {how}; "
        f"digest {content['digest']}"
    )


def _tiles_html(content: Mapping[str, Any]) -> str:
    rows = [
        f"<div><dt>{html.escape(name)}</dt><dd>{html.escape(figure)} <small>{html.escape(beside)}</small></dd></div>"
        for name, figure, beside in tiles(content)
    ]
    return "<dl>\n" + "\n".join(rows) + "\n</dl>"


def _links(folder: Path, shown: Mapping[str, tuple[str, str]]) -> str:
    links = [(f"#{Path(name).stem}", title) for name, (title, _) in shown.items()]
    links += [
        (name, text) for name, text in ((WATCH, "Watch an episode"), (VIDEO, "Video")) if (folder / name).exists()
    ]
    return "<nav>" + " ".join(f'<a href="{link}">{html.escape(text)}</a>' for link, text in links) + "</nav>"


def _section(folder: Path, name: str, title: str, text: str) -> str:
    data = base64.b64encode((folder / name).read_bytes()).decode()
    return (
        f'<h2 id="{Path(name).stem}">{html.escape(title)}</h2>\n<p>{html.escape(text)}</p>\n'
        f'<figure><img alt="{html.escape(text)}" src="data:image/png;base64,{data}"></figure>'
    )
