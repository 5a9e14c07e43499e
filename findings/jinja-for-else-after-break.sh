#!/usr/bin/env bash
# When does Jinja, with which transformers renders chat templates, run the `else` of a `for`?
#
# Guess: As its documentation has it, "if no iteration took place because the sequence was empty or the filtering removed all
#        the items": never after a turn of the body, so not after `{% break %}` or `{% continue %}` either.
# Seen:  It runs unless the end of the body was reached once. A loop left by `{% break %}` in its first turn, or in which every
#        turn ends in `{% continue %}`, writes its body's text and the `else` as well. (Python's own `else` follows another
#        rule: it runs after `continue`, and after a whole loop.) A template that looks for a message, breaks at the first
#        one, and has the default in `else` writes both.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install -q jinja2==3.1.6

venv/bin/python - <<'PY'
import importlib.metadata, sys
from jinja2.sandbox import ImmutableSandboxedEnvironment

print("versions: Python", sys.version.split()[0], "jinja2", importlib.metadata.version("jinja2"))
environment = ImmutableSandboxedEnvironment(extensions=["jinja2.ext.loopcontrols"])
templates = {
    "break in the first turn": ("{% for x in [1, 2] %}{{ x }}{% break %}{% else %} else{% endfor %}", "1 else"),
    "break in the second turn": (
        "{% for x in [1, 2] %}{{ x }}{% if x == 2 %}{% break %}{% endif %}{% else %} else{% endfor %}",
        "12",
    ),
    "continue in every turn": ("{% for x in [1, 2] %}{{ x }}{% continue %}{% else %} else{% endfor %}", "12 else"),
    "plain turns": ("{% for x in [1, 2] %}{{ x }}{% else %} else{% endfor %}", "12"),
    "no turn": ("{% for x in [] %}{{ x }}{% else %} else{% endfor %}", " else"),
}
other = 0
for name, (template, expected) in templates.items():
    text = environment.from_string(template).render()
    print(f"{name}: {text!r}")
    other += text != expected
sys.exit(1 if other else 0)
PY
