"""What the pages look like, in light and dark."""

STYLE = """
:root { color-scheme: light dark;
  --paper: #ffffff; --ground: #f5f5f3; --ink: #2b2b2b; --soft: #5f5f5f; --line: #dddddd;
  --blue: #0072b2; --green: #009e73; --vermilion: #d55e00; --yellow: #f0e442; --chosen: #f5ecaa; }
@media (prefers-color-scheme: dark) { :root {
  --paper: #1f2124; --ground: #15171a; --ink: #e6e6e6; --soft: #a9a9a9; --line: #3a3d42;
  --blue: #56b4e9; --green: #2fc49a; --vermilion: #ff9147; --yellow: #f0e442; --chosen: #4b4721; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink);
  font: 16px/1.5 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; }
main { max-width: 1180px; margin: 0 auto; padding: 20px 24px 48px; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0 0 4px; }
h2 { font-size: 1.1rem; margin: 36px 0 8px; }
p { margin: 6px 0; max-width: 75ch; }
a { color: var(--blue); }
.soft { color: var(--soft); font-size: .9rem; overflow-wrap: anywhere; }
:focus-visible { outline: 3px solid var(--blue); outline-offset: 2px; }
"""
