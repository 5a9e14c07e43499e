"""Renders small chat templates with transformers, as goldens for our own interpreter of them.

Usage: python chat_templates.py > ../fixtures/golden/chat-templates.json
Made with transformers 5.24 and jinja2 3.1.6. The templates are constructs in words of our own, one each.

Variables come from JSON on our side, where 1.0 and 1 are one number; so no variable here is a whole float. Literals in
a template may be.
"""

import datetime
import json
import sys

import jinja2
import transformers
from transformers.utils import chat_template_utils

SETS = {
    "plain": {
        "messages": [
            {"role": "system", "content": "Answer in short words."},
            {"role": "user", "content": "  Is the soup warm?\n"},
            {"role": "assistant", "content": "It's \"hot\" <ok> & done"},
            {"role": "user", "content": "Grüße, 世界 🍲!"},
        ],
        "add_generation_prompt": True,
        "bos_token": "<s>",
        "eos_token": "</s>",
    },
    "tools": {
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "Find a bus"}, {"type": "image"}], "name": None},
            {
                "role": "assistant",
                "content": None,
                "reasoning": "need a tool",
                "tool_calls": [
                    {
                        "id": "c1",
                        "type": "function",
                        "function": {
                            "name": "find_bus",
                            "arguments": {
                                "to": "Köln",
                                "seats": 2,
                                "price": 12.5,
                                "tiny": 1e-07,
                                "huge": 1.5e22,
                                "direct": True,
                                "via": None,
                                "stops": ["a", 'b"c', {"x": []}],
                                "none": {},
                            },
                        },
                    }
                ],
            },
            {"role": "tool", "content": "{\"ok\": true}", "tool_call_id": "c1"},
        ],
        "tools": [
            {
                "type": "function",
                "function": {
                    "name": "find_bus",
                    "description": "Finds <a> bus & more",
                    "parameters": {
                        "type": "object",
                        "properties": {"to": {"type": "string", "enum": ["Köln", "Bonn"]}, "seats": {"type": "integer"}},
                        "required": ["to"],
                    },
                },
            }
        ],
        "documents": [{"title": "Plan", "text": "Buses run."}],
    },
    "values": {
        "messages": [],
        "i": 7,
        "n": -7,
        "zero": 0,
        "f": 2.5,
        "yes": True,
        "no": False,
        "nil": None,
        "empty": "",
        "word": "hello wide World",
        "code": "\n    def f():\n        pass\n  ",
        "nums": [3, 1, 2, 3],
        "mixed": [1, "two", None, True, 2.25, [1, [2]], {"k": "v"}],
        "names": ["bea", "Al", "cy", "al"],
        "d": {"b": 1, "a": 2, "C": 3, "items": "own", "it's": 'q"q'},
        "people": [
            {"name": "Ann", "age": 31, "town": {"zip": "1"}},
            {"name": "bob", "age": 5, "town": {"zip": "2"}},
            {"name": "Cid", "age": 31, "town": {"zip": "1"}},
            {"name": "dee", "town": {"zip": "3"}},
        ],
        "tree": [{"n": "r", "kids": [{"n": "x", "kids": [{"n": "y", "kids": []}]}, {"n": "z", "kids": []}]}],
        "uni": "Straße ΑΣ ǆ ŉ İ 👍🏽 é",
        "odd": "tab\there\x00\x1f\x7f\u00a0\u200b\ud7ff \U0001f600 back\\slash",
    },
}

# Names of a set, then its templates.
TEMPLATES = {
    "plain": """
{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}
{{ bos_token }}{{ messages[0]['content'] }}{{ eos_token }}{{ unk_token }}|{{ unk_token is defined }}
{% if add_generation_prompt %}go{% endif %}
{{ messages[-1].content|length }} {{ messages|length }} {{ messages[-1].content[-2:] }} {{ messages[-1].content[::-1] }}
{% for m in messages if m.role == 'user' %}{{ loop.index }}/{{ loop.length }}:{{ m.content|trim }};{% endfor %}
{% for m in messages %}{{ loop.first }}{{ loop.last }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }} {% endfor %}
{{ messages }}
{{ messages|tojson }}
{{ messages|tojson(indent=2) }}
{{ messages[2].content|e }}
{{ messages[2].content|escape ~ '<' }}
{{ ('<a>'|e) + '<b>' }}{{ '<c>' + ('<d>'|safe) }}
{% set ns = namespace(system='', count=0) %}{% for m in messages %}{% if m.role == 'system' %}{% set ns.system = m.content %}{% else %}{% set ns.count = ns.count + 1 %}{% endif %}{% endfor %}{{ ns.system }}|{{ ns.count }}|{{ ns }}
{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('roles must alternate: ' ~ m.role) }}{% endif %}{% endfor %}
{{ raise_exception('only "text" & nothing else') }}
{% for m in messages[1:] %}{{ loop.previtem.role if loop.previtem is defined else 'none' }}>{{ loop.nextitem.role }};{% endfor %}
{% for m in messages %}{{ loop.cycle('a', 'b', 'c') }}{{ loop.changed(m.role) }} {% endfor %}
{% for m in messages %}{% if loop.index == 2 %}{% continue %}{% endif %}{% if loop.index == 4 %}{% break %}{% endif %}{{ m.role }}{% endfor %}
{% for role, content in messages|map(attribute='role')|zip %}{% endfor %}
{% for m in messages %}{% generation %}{{ m.role }}{% endgeneration %}{% endfor %}
{%- for m in messages -%}  {{ m.role }}  {%- endfor -%} .
{{ messages.0.role }}{{ messages[9] }}{{ messages[9] is undefined }}
{{ messages[9].role }}
{{ messages[0].tool_calls is defined }}{{ messages[0].get('tool_calls', 'no') }}{{ messages[0]['x'] }}
{{ messages[0].tool_calls.name }}
{{ messages|selectattr('role', 'equalto', 'user')|map(attribute='content')|map('trim')|join(' / ') }}
{{ messages|rejectattr('role', 'in', ['user', 'system'])|list }}
{{ messages|map(attribute='role')|unique|join(',') }}
{{ messages|map(attribute='role')|list }}{{ messages|map('length')|list }}
{{ (messages|last).role }}{{ (messages|first).role }}
{% set roles = messages|map(attribute='role') %}{{ roles|list|length }}{{ roles|list|length }}
{{ messages.append(1) }}
{{ messages[0].update({'a': 1}) }}
{{ messages[0].pop('role') }}
{{ ''.__class__ }}|{{ ''.__class__ is defined }}
{{ messages.__class__.__mro__ }}
{{ messages|attr('__class__') is defined }}
{{ documents is none }}{{ tools is none }}{{ documents }}{{ tools }}
{{ strftime_now('%Y-%m-%d %H:%M:%S %a %A %b %B %j %y %p %I %U %W %w %e %-d %-m %%') }}
{{ strftime_now('%d %B %Y') }}
""",
    "tools": """
{% for m in messages %}{{ m.role }}:{{ m.content }}|{{ m.name is defined }}|{{ m.reasoning_content }}|{{ m.thinking }};{% endfor %}
{{ messages[1].tool_calls[0].function.arguments|tojson }}
{{ messages[1].tool_calls[0].function.arguments }}
{{ messages[1].tool_calls[0].function.arguments|tojson(indent=4) }}
{{ messages[1].tool_calls[0].function.arguments|tojson(sort_keys=true, separators=(',', ':'), ensure_ascii=True) }}
{% for k, v in messages[1].tool_calls[0].function.arguments.items() %}{{ k }}={{ v }};{% endfor %}
{% for k, v in messages[1].tool_calls[0].function.arguments|items %}{{ k }}={{ v|tojson if v is not string else v }};{% endfor %}
{% for tool in tools %}{{ tool|tojson(indent=2) }}{% endfor %}
{{ tools|tojson }}
{{ tools }}
{% if tools is not none and tools|length > 0 %}{{ tools[0].function.name }}{% endif %}
{% for p in tools[0].function.parameters.properties %}{{ p }}{% if p in tools[0].function.parameters.required %}*{% endif %},{% endfor %}
{% for c in messages[0].content %}{% if c.type == 'text' %}{{ c['text'] }}{% elif c.type == 'image' %}<img>{% endif %}{% endfor %}
{% if messages[0].content is string %}s{% elif messages[0].content is iterable %}i{% endif %}{% if messages[0].content is mapping %}m{% endif %}
{% for d in documents %}{{ d.title }}: {{ d['text'] }}{% endfor %}
{% macro args(d) %}{% for k, v in d|dictsort %}{{ k }}:{% if v is mapping %}{{ '{' ~ args(v) ~ '}' }}{% else %}{{ v }}{% endif %},{% endfor %}{% endmacro %}{{ args(messages[1].tool_calls[0].function.arguments) }}
{{ messages[1].content }}|{{ messages[1].content is defined }}|{{ messages[1] }}
{{ messages[0].content|selectattr('type', 'eq', 'text')|map(attribute='text')|first }}
{{ tools|map(attribute='function.name')|join }}{{ tools|map(attribute='function')|map(attribute='missing', default='?')|join }}
{%- set tool_text %}
{% for tool in tools %}
  {{- '- ' + tool.function.name }}
{% endfor %}
{% endset %}[{{ tool_text }}]
""",
    "values": r"""
{{ i }}{{ n }}{{ f }}{{ yes }}{{ no }}{{ nil }}{{ missing }}{{ mixed }}{{ d }}
{{ 'a,b,,'.rstrip(',') }}|{{ 'xxaxx'.strip('x') }}|{{ 'xyaxy'.lstrip('yx') }}|{{ '  b '.strip() }}|{{ '\n\n  keep'.lstrip('\n') }}
{{ code.lstrip('\n') }}|{{ code.strip() }}|{{ code.rstrip() }}|
{{ '<t>x</t>\n\n    y'.split('</t>')[-1].lstrip('\n') }}
{{ n % 3 }} {{ 7 % -3 }} {{ -7 // 2 }} {{ 7 // 2 }} {{ -7.5 % 2 }} {{ 7.5 // -2 }} {{ 7 / 2 }} {{ 6 / 2 }} {{ 2 ** 10 }} {{ 2 ** -1 }} {{ 2 ** 0.5 }} {{ -2 ** 2 }}
{{ 2 ** 3 ** 2 }} {{ 10 ** 20 }} {{ 10 ** 20 % 7 }} {{ (10 ** 30) / (10 ** 10) }} {{ 9007199254740993 + 2 }}
{{ 1.0 }} {{ 1e3 }} {{ 1.5e-7 }} {{ 1e16 }} {{ 1e15 }} {{ 123456789.123 }} {{ 0.1 + 0.2 }} {{ 1e-5 }} {{ 0.0001 }} {{ 1_000 }} {{ 0x1f }} {{ 0b11 }} {{ 0o17 }} {{ -0.0 }} {{ 1e400 }}
{{ [1.0, 1e-07, 1e22, -0.0, 1e16, 100000.0]|tojson }}
{{ word.title() }}|{{ "they're bill's".title() }}|{{ word|title }}|{{ "they're-bill (x"|title }}|{{ 'hELLO wORLD'.capitalize() }}|{{ 'hELLO'|capitalize }}
{{ word.upper() }}{{ word.lower() }}{{ word.swapcase() }}{{ word|upper }}{{ word|lower }}
{{ 'x' * 3 }}{{ 3 * 'y' }}{{ [1, 2] * 2 }}{{ (1,) * 3 }}{{ 'z' * -1 }}|{{ 'q' * yes }}
{{ '%s is %d, %5.2f%% %r %x %05d %-5s| %+d %e %g %c' % ('a', 3, 2.5, 'q', 255, 42, 'b', 5, 12345.678, 0.00001234, 'z') }}
{{ '%s' % i }}{{ '%s' % [1, 2] }}{{ '%(a)s-%(b)03d' % {'a': 1, 'b': 2} }}{{ '%s' % nil }}{{ '%.3s|' % 'abcdef' }}{{ '%5s|%-5s|' % ('a', 'b') }}
{{ '%d' % 'a' }}
{{ '%s %s' % 'a' }}
{{ '%s' % ('a', 'b') }}
{{ '{} {}'.format(1, 'b') }}{{ '{0}{1}{0}'.format('a', 'b') }}{{ '{x}:{y!r}'.format(x=1, y='z') }}{{ '{:>5}|{:<5}|{:^5}|{:*^7}'.format('a', 'b', 'c', 'd') }}{{ '{{}}'.format() }}
{{ '{:.2f} {:05d} {:,} {:+} {:e} {:g} {:%} {:x} {:#x} {:b} {:_}'.format(3.14159, 42, 1234567, 5, 1234.5, 0.0001, 0.25, 255, 255, 5, 1234567) }}
{{ '{:.3} {:10.4} {:g} {:G} {:.0f} {:010.2f} {:<8}| {}'.format(3.14159, 2.0, 1e20, 1e-10, 2.5, -3.14159, 1.5, 1.0) }}
{{ '{d[a]} {p[0]} {p[1].name}'.format(d={'a': 1}, p=[5, people[0]]) }}{{ '{:{}}|'.format('a', 4) }}
{{ '{}'.format() }}
{{ '{a'.format(a=1) }}
{{ '{x.__class__}'.format(x=1) }}
{{ ', '.join(['a', 'b']) }}{{ ''.join(names) }}{{ '-'.join('abc') }}
{{ ', '.join([1]) }}
{{ undefinedthing }}|{{ nil }}|{{ none }}|{{ None }}|{{ true }}{{ True }}{{ false }}{{ [] }}{{ {} }}{{ () }}{{ (1,) }}{{ (1, 'a') }}
{{ undefinedthing.x }}
{{ undefinedthing|default('d') }}{{ nil|default('d') }}{{ nil|default('d', true) }}{{ ''|d('e', boolean=true) }}{{ 0|default(5) }}{{ undefinedthing.x|default('z') }}
{{ d.nope|default('d') }}{{ (undefinedthing or {}).x|default('z') }}
{{ undefinedthing + 'a' }}
{{ undefinedthing ~ 'a' ~ 1 ~ nil ~ 1.0 ~ yes }}{{ undefinedthing == nil }}{{ undefinedthing == nope2 }}{{ not undefinedthing }}{{ undefinedthing|length }}{{ 'a' in undefinedthing }}{% for x in undefinedthing %}x{% endfor %}
{{ nil + 'a' }}
{{ nil.x }}|{{ nil['x'] }}|{{ i.x }}|{{ word.nope }}
{{ nil.x.y }}
{{ 'a' + 1 }}
{{ {'a': [undefinedthing]} }}
{{ undefinedthing|tojson }}
{{ nil|tojson }}{{ yes|tojson }}{{ 'é"\n'|tojson }}{{ 'é😀'|tojson(ensure_ascii=true) }}{{ (1, 2)|tojson }}{{ {1: 2, none: 3, true: 4, 1.5: 5}|tojson }}
{{ {'b': [], 'a': {}, 'c': [1, {'x': ()}]}|tojson(indent=2) }}{{ [1]|tojson(indent='--') }}{{ [1, 2]|tojson(indent=0) }}{{ {'b': 1, 'a': 2}|tojson(sort_keys=True) }}{{ [1, 2]|tojson(none) }}{{ [1, 2]|tojson(separators=(',', ':')) }}
{{ odd|tojson }}{{ odd }}{{ [odd] }}
{{ ["it's", 'say "x"', 'both \' and "', 'new\nline', 'tab\t', '\\', 'é', '\x01', '\u200b', '😀'] }}
{{ 'a\tb\\n\x41\u00e9\U0001F600\101\q' }}{{ "d'q" 'joined' }}
{{ '\ud83d' }}
{-{{ i }}-}
a {- b -} c {% if yes %} { - {% endif %} { # x
  {% if yes %}
    kept
  {% endif %}
end
a  {{- i -}}  b {{ i -}}   c   {{- i }}
  {%+ if yes %} x {%+ endif %} y
  {%- if yes +%}
  z{% endif -%}   w
line{# note #} one {#- two -#} three
  {# alone #}
after
{% if yes %}
  {{ i }}
{% endif %}
t
{% raw %}{{ raw }} {% if %}{# c #}{% endraw %}|{%- raw -%}  {{ x }}  {%- endraw -%}  y
{% set x = 1 %}{% for q in [1, 2] %}{{ x }}{% set x = x + 1 %}{{ x }}{% endfor %}{{ x }}
{% if yes %}{% set x = 5 %}{% endif %}{{ x }}{% with %}{% set x = 6 %}{{ x }}{% endwith %}{{ x }}{% with a = 1, b = 2 %}{{ a + b }}{% endwith %}{{ a }}
{% set a = 1 %}{% with a = 2, b = a %}{{ a }}{{ b }}{% endwith %}{{ a }}
{% set x %}in {{ i }}{% set y = 2 %}{% endset %}[{{ x }}{{ y }}]{% set z | upper | replace('B', '-') %}abc{% endset %}{{ z }}
{% set a, b = 1, 'two' %}{{ a }}{{ b }}{% set (p, q) = [3, 4] %}{{ p + q }}{% set t = 1, 2 %}{{ t }}
{% set a, b = [1] %}
{% set a, b = 'xyz' %}
{% set ns = namespace({'a': 1}, b=[1]) %}{% set ns.c = ns.a + 1 %}{{ ns.a }}{{ ns.b }}{{ ns.c }}{{ ns.zz }}{{ ns['a'] }}
{% set d.x = 1 %}
{% set ns = namespace(_a=1) %}
{% set ns = namespace(a=1) %}{% for x in nums %}{% set ns.a = ns.a * x %}{% endfor %}{{ ns.a }}
{% macro f(a, b='B', c=a) %}{{ a }}{{ b }}{{ c }};{% endmacro %}{{ f(1) }}{{ f(1, 2) }}{{ f(b=3, a=4) }}{{ f() }}{{ f(1, c=none) }}
{% macro f(a) %}{{ a }}{{ varargs }}{{ kwargs }}{% endmacro %}{{ f(1, 2, 3, x=4) }}{{ f.name }}{{ f.arguments }}
{% macro f(a) %}{{ a }}{% endmacro %}{{ f(1, 2) }}
{% macro f(a) %}{{ a }}{% endmacro %}{{ f(b=2) }}
{% macro box(t) %}[{{ t }}:{{ caller() }}]{% endmacro %}{% call box('x') %}body {{ i }}{% endcall %}
{% macro each(l) %}{% for x in l %}{{ caller(x, loop.index) }}{% endfor %}{% endmacro %}{% call(v, k=0) each(nums) %}<{{ v }}{{ k }}>{% endcall %}
{% macro fact(k) %}{{ 1 if k < 2 else k * fact(k - 1)|int }}{% endmacro %}{{ fact(5) }}{{ fact }}
{% set outer = 'o' %}{% macro f() %}{{ outer }}{{ x }}{% set outer = 'i' %}{{ outer }}{% endmacro %}{% for x in [1] %}{{ f() }}{% endfor %}{{ outer }}
{% macro f() %}{{ later }}{% endmacro %}{% set later = 'L' %}{{ f() }}
{% filter upper %}abc {{ word }}{% endfilter %}{% filter replace('a', 'b') | indent(2) %}a
a{% endfilter %}
{% for k in tree recursive %}({{ k.n }}{{ loop.depth }}{{ loop.depth0 }}{% if k.kids %}{{ loop(k.kids) }}{% endif %}){% endfor %}
{% for x in [] %}x{% else %}none{% endfor %}{% for x in nums if x > 5 %}x{% else %}few{% endfor %}{% for x in [1] %}{% break %}{% else %}no{% endfor %}
{% for x in nums %}{% for y in names %}{% if loop.index > 2 %}{% break %}{% endif %}{{ x }}{{ y }}{{ loop.index }} {% endfor %}{{ loop.index }};{% endfor %}
{% for x in nums if x != 2 %}{{ loop.index }}{{ loop.length }}{{ loop.last }}{{ loop.revindex }} {% endfor %}{% for x in nums|select('odd') %}{{ loop.length }}{{ loop.nextitem }} {% endfor %}
{% for x, (y, z) in [(1, (2, 3)), [4, 'ab']] %}{{ x }}{{ y }}{{ z }};{% endfor %}
{% for a, b in nums %}{% endfor %}
{% for x in 5 %}{% endfor %}
{% for x in nil %}{% endfor %}
{% for c in 'a😀é' %}{{ c }}.{% endfor %}{% for k in d %}{{ k }},{% endfor %}{% for k, v in d.items() %}{{ k }}{{ v }},{% endfor %}{% for v in d.values() %}{{ v }}{% endfor %}
{% for x in nums %}{{ loop }}{{ loop['index'] }}{% endfor %}{{ loop is defined }}
{% for x in [1, 1, 2, 2, 1] %}{{ loop.changed(x) }} {% endfor %}
{{ range(5) }}{{ range(5)|list }}{{ range(1, 10, 3)|list }}{{ range(5, 0, -2)|list }}{{ range(3)[1] }}{{ range(3)|length }}{{ 2 in range(3) }}{{ range(9)[2:5]|list }}
{{ range(1000000) }}
{{ nums[1:3] }}{{ nums[::-1] }}{{ nums[-2:] }}{{ nums[::2] }}{{ word[1:4] }}{{ word[::-2] }}{{ nums[5:] }}{{ nums[-1] }}{{ nums[-9:9] }}{{ (1, 2, 3)[1:] }}{{ nums[3:0:-2] }}{{ nums[:-1] }}
{{ nums[::0] }}
{{ nil[1:] }}
{{ 'a👍b'[1] }}{{ 'a👍b'[1:] }}{{ 'a👍b'|length }}{{ 'a👍b'|reverse }}{{ 'a👍b'.find('b') }}{{ uni|upper }}{{ uni|lower }}{{ uni.title() }}{{ uni.swapcase() }}{{ uni.capitalize() }}
{{ d['items'] }}{{ d.items() }}{{ d.keys() }}{{ d.values() }}{{ d.get('a') }}{{ d.get('zz') }}{{ d.get('zz', 0) }}{{ d|length }}{{ 'a' in d }}{{ d.a }}{{ d['b'] }}
{{ {'a': none}.get('a', 'x') }}{{ {'a': none}.a }}{{ [none]|first }}{{ [none]|last }}{{ [none][0] }}
{{ {1: 'a', true: 'b', 1.0: 'c', '1': 'd'} }}{{ {1: 'a'}[true] }}{{ {(1, 2): 3}[(1, 2)] }}
{{ {[1]: 2} }}
{{ d|dictsort }}{{ d|dictsort(true) }}{{ {'x': 2, 'y': 1}|dictsort(by='value') }}{{ {'x': 2, 'y': 1}|dictsort(reverse=true) }}
{{ dict(a=1, b=2) }}{{ dict([('x', 1)]) }}{{ dict({'q': 1}, r=2) }}{{ dict(d) == d }}
{{ nums|sort }}{{ nums|sort(reverse=true) }}{{ names|sort }}{{ names|sort(case_sensitive=true) }}{{ people|selectattr('age')|sort(attribute='age,name')|map(attribute='name')|list }}
{{ mixed|sort }}
{{ nums|unique|list }}{{ names|unique|list }}{{ names|unique(true)|list }}{{ people|unique(attribute='town.zip')|map(attribute='name')|list }}
{{ nums|sum }}{{ people[:3]|sum(attribute='age') }}{{ [1, 2.5]|sum }}{{ []|sum }}{{ [[1], [2]]|sum(start=[]) }}
{{ nums|min }}{{ nums|max }}{{ names|max }}{{ names|min }}{{ people[:3]|max(attribute='age') }}{{ []|max }}|{{ names|min(case_sensitive=true) }}
{{ range(7)|batch(3)|list }}{{ range(7)|batch(3, 'x')|list }}{{ range(7)|slice(3)|list }}{{ range(7)|slice(3, 'x')|list }}
{% for g in people|groupby('town.zip') %}{{ g.grouper }}:{{ g.list|map(attribute='name')|join(',') }}{{ g[0] }};{% endfor %}{% for k, l in people|groupby('age', default=0) %}{{ k }}{{ l|length }},{% endfor %}
{{ ['b', 'A', 'a', 'B']|map('upper')|list }}{% for k, l in [{'k': 'b'}, {'k': 'B'}, {'k': 'a'}]|groupby('k') %}{{ k }}{{ l|length }}{% endfor %}{{ [{'k': 1}]|groupby('k') }}
{{ nums|join }}{{ nums|join(', ') }}{{ mixed|join('|') }}{{ people|join(',', attribute='name') }}
{{ nums|select('gt', 1)|list }}{{ nums|reject('divisibleby', 3)|list }}{{ [0, 1, '', 'a', none]|select|list }}{{ [0, 1]|reject|list }}{{ people|selectattr('age', 'defined')|list|length }}{{ people|rejectattr('age')|map(attribute='name')|list }}
{{ nums|map('string')|list }}{{ nums|map('tojson')|join }}{{ ['1', 'x']|map('int', 9)|list }}{{ people|map(attribute='age', default='?')|list }}{{ ['a b']|map('replace', 'a', 'z')|list }}
{{ nums|map('nosuch')|list }}
{{ word|replace('l', 'L') }}{{ word|replace('l', 'L', 1) }}{{ word.replace('l', 'L', 2) }}{{ 'ab'.replace('', '-') }}{{ 'ab'|replace('', '-', 1) }}{{ 5|replace('5', 'x') }}
{{ '  a b '|trim }}|{{ 'xxaxx'|trim('x') }}|{{ 5|string + '1' }}{{ nil|string }}{{ 1.0|string }}
{{ word|wordcount }}{{ word|first }}{{ word|last }}{{ word|list }}{{ nums|first }}{{ nums|last }}{{ []|first }}|{{ nums|count }}{{ nums|reverse|list }}{{ 'abc'|reverse }}{{ d|list }}
{{ 2.5|round }}{{ 3.5|round }}{{ 2.675|round(2) }}{{ 1234|round(-2) }}{{ 1.25|round(1) }}{{ 2.1|round(0, 'ceil') }}{{ 2.9|round(method='floor') }}{{ 7|round }}{{ 1.005|round(2) }}{{ -2.5|round }}{{ 0.15|round(1) }}{{ 1e20|round }}{{ 2.15|round(1, 'floor') }}
{{ '42'|int }}{{ '42.9'|int }}{{ 'x'|int }}{{ 'x'|int(5) }}{{ '0x1f'|int(base=16) }}{{ 2.9|int }}{{ -2.9|int }}{{ '  7 '|int }}{{ yes|int }}{{ nil|int }}{{ '1_0'|int }}{{ '2.5'|float }}{{ 'x'|float }}{{ 3|float }}{{ '1e3'|float }}{{ 'z'|float(1.5) }}{{ 'ff'|int(0, 16) }}
{{ -5|abs }}{{ (-5)|abs }}{{ (-2.5)|abs }}{{ true|abs }}
{{ 'abc'|center(9) }}|{{ 'abcd'|center(9) }}|{{ 'abc'.center(8, '*') }}{{ 'abc'.center(7, '*') }}{{ 'ab'.center(5, '*') }}{{ 'a'.ljust(3, '.') }}{{ 'a'.rjust(3) }}{{ '-42'.zfill(6) }}{{ '42'.zfill(1) }}
{{ code|indent }}{{ 'a\n\nb'|indent(2) }}{{ 'a\n\nb'|indent(2, true) }}{{ 'a\n\nb'|indent(2, blank=true) }}{{ 'a\nb\n'|indent('> ', first=true) }}{{ ''|indent }}
{{ 'a long text that goes on and on'|truncate(12) }}{{ 'a long text that goes on'|truncate(12, true) }}{{ 'a long text that goes on'|truncate(12, end='…', leeway=0) }}{{ 'abc'|truncate(3) }}
{{ 'a b/c?d=é&f'|urlencode }}{{ {'a b': 'c&d', 'e': 1}|urlencode }}{{ 123456|filesizeformat }}{{ 1|filesizeformat }}{{ 1048576|filesizeformat(true) }}{{ 5|filesizeformat }}
{{ '%s-%s'|format('a', 1) }}{{ '%(x)s'|format(x=3) }}{{ 'a<b>'|e }}{{ 'a<b>'|forceescape }}{{ '"\''|e }}{{ 'x'|safe }}{{ 5|e }}
{{ d|items|list }}{{ undefinedthing|items|list }}{{ people[0]|attr('name') is defined }}{{ nums|attr('count') is callable }}
{{ 4 is even }}{{ 4 is odd }}{{ 9 is divisibleby 3 }}{{ 9 is divisibleby(2) }}{{ i is number }}{{ yes is number }}{{ i is integer }}{{ yes is integer }}{{ f is float }}{{ i is float }}{{ yes is boolean }}{{ i is boolean }}
{{ d is mapping }}{{ nums is mapping }}{{ d is iterable }}{{ i is iterable }}{{ word is iterable }}{{ d is sequence }}{{ nums is sequence }}{{ word is sequence }}{{ i is sequence }}{{ word is string }}{{ i is string }}{{ undefinedthing is iterable }}{{ undefinedthing is string }}
{{ nil is none }}{{ i is none }}{{ nil is defined }}{{ undefinedthing is none }}{{ undefinedthing is undefined }}{{ d.q is defined }}{{ yes is true }}{{ i is true }}{{ no is false }}{{ 1 is sameas 1 }}{{ nil is sameas none }}{{ 0 is sameas false }}
{{ 'a' is in 'abc' }}{{ 3 is in nums }}{{ 'abc' is lower }}{{ 'ABC' is upper }}{{ '12' is lower }}{{ 3 is eq 3 }}{{ 3 is ne 3 }}{{ 3 is lt 4 }}{{ 3 is ge(3) }}{{ 3 is not equalto 4 }}{{ range is callable }}{{ i is callable }}{{ 'e'|e is escaped }}{{ 4 is greaterthan 3 }}
{{ i is not none and f is defined or no }}{{ not i is odd }}{{ i is odd if yes }}
{{ 'hello'.find('l') }}{{ 'hello'.rfind('l') }}{{ 'hello'.find('z') }}{{ 'hello'.find('l', 3) }}{{ 'hello'.find('', 9) }}{{ 'hello'.count('l') }}{{ 'hello'.count('') }}{{ 'hello'.index('e') }}{{ 'aaa'.count('aa') }}{{ 'hello'.find('l', -2) }}
{{ 'hello'.index('z') }}
{{ 'a\nb\r\nc\x0bd\u2028e\n'.splitlines() }}{{ 'a\nb\n\n'.splitlines(true) }}{{ ''.splitlines() }}
{{ 'prefix-x'.removeprefix('prefix-') }}{{ 'x.py'.removesuffix('.py') }}{{ 'x'.removesuffix('') }}{{ 'aab'.removeprefix('b') }}
{{ ' a  b c '.split() }}{{ 'a,b,,c'.split(',') }}{{ 'a b  c'.split(' ') }}{{ 'a b c d'.split(none, 2) }}{{ 'a,b,c'.split(',', 1) }}{{ ' a b  c '.split(maxsplit=1) }}{{ ''.split() }}{{ ''.split(',') }}{{ 'a b'.split(sep=' ') }}
{{ 'a,b,c'.rsplit(',', 1) }}{{ ' a b  c '.rsplit(none, 1) }}{{ 'a b c'.rsplit() }}{{ 'a,b'.rsplit(',') }}{{ 'a b c '.split(none, 0) }}{{ ' a b c '.rsplit(none, 0) }}
{{ 'a'.split('') }}
{{ 'k=v=w'.partition('=') }}{{ 'k=v=w'.rpartition('=') }}{{ 'kv'.partition('=') }}{{ 'kv'.rpartition('=') }}
{{ 'hello'.startswith('he') }}{{ 'hello'.startswith(('x', 'he')) }}{{ 'hello'.endswith('lo', 0, 4) }}{{ 'hello'.endswith(('lo',)) }}{{ 'hello'.startswith('l', 2) }}{{ 'a'.startswith('') }}
{{ 'hello'.startswith(1) }}
{{ '12'.isdigit() }}{{ '1²'.isdigit() }}{{ '1.2'.isdigit() }}{{ ''.isdigit() }}{{ '½'.isnumeric() }}{{ '²'.isdecimal() }}{{ 'aé'.isalpha() }}{{ 'a1'.isalnum() }}{{ ' \t'.isspace() }}{{ 'Ab Cd'.istitle() }}{{ 'AB1'.isupper() }}{{ 'ab1'.islower() }}{{ 'a b'.isidentifier() }}{{ 'é'.isascii() }}{{ 'a\n'.isprintable() }}
{{ 'a\tbc\td'.expandtabs(4) }}{{ 'ab'.encode is defined }}
{{ 1 < 2 < 3 }}{{ 1 < 3 < 2 }}{{ 1 == 1.0 == true }}{{ 'a' < 'b' }}{{ [1, 2] < [1, 3] }}{{ 'Z' < 'a' }}{{ (1, 2) == (1, 2) }}{{ [1] == (1,) }}{{ '1' == 1 }}{{ nil == false }}{{ {'a': 1} == {'a': 1.0} }}{{ '😀' > '\uffff' }}
{{ 'a' < 1 }}
{{ nil < 1 }}
{{ 'ell' in 'hello' }}{{ 'x' not in 'hello' }}{{ 2 in nums }}{{ [1] in [[1]] }}{{ not 2 in nums }}{{ '' in 'a' }}
{{ 1 in 'hello' }}
{{ 1 in nil }}
{{ 'a' if no }}|{{ 'a' if yes else 'b' }}{{ 'a' if no else 'b' if no else 'c' }}{{ ('a' if no) is defined }}{{ 'x' ~ ('a' if no) }}
{{ yes and 'x' }}{{ no or 'y' }}{{ '' or nil }}{{ [] and 1 }}{{ not nil }}{{ yes + 1 }}{{ yes == 1 }}{{ -yes }}{{ +f }}{{ 1 - -1 }}
{{ 1 + 2 * 3 ~ 4 - 1 }}{{ 'a' ~ 1 + 2 }}{{ -1|abs }}{{ 5 % 3 * 2 }}{{ 2 * 3 % 4 }}{{ 'a' ~ 'b' in 'xaby' }}
{{ 1 / 0 }}
{{ 1 // 0 }}
{{ 5 % 0 }}
{{ [1] + [2] }}{{ (1,) + (2,) }}{{ 'a' 'b' }}{{ [1,] }}{{ {'a': 1,} }}{{ [[1, 2], (3,)] }}{{ {'k': (1, none)} }}
{{ [1] + (2,) }}
{{ nums.index(2) }}{{ nums.count(3) }}{{ (1, 2).index(2) }}
{{ nums.sort() }}
{{ nums.index(99) }}
{{ word.nosuch() }}
{{ i() }}
{{ nosuch() }}
{{ f.is_integer() }}{{ 2.0.is_integer() }}
{{ cycler('a', 'b') is defined }}{% set c = cycler('a', 'b') %}{{ c.next() }}{{ c.next() }}{{ c.next() }}{{ c.current }}{% set j = joiner('; ') %}{% for x in nums %}{{ j() }}{{ x }}{% endfor %}
{% set l = [1, 2, 3] %}{{ l[i] }}|{{ l['a'] }}|{{ l[1.0] }}
{% macro f(x) %}{% if x %}{% set y = 1 %}{% else %}{% set y = 2 %}{% endif %}{{ y }}{% endmacro %}{{ f(0) }}{{ f(1) }}
{% set x = [] %}{% for q in nums %}{% set x = x + [q * 2] %}{% endfor %}{{ x }}{% set ns = namespace(l=[]) %}{% for q in nums %}{% set ns.l = ns.l + [q * 2] %}{% endfor %}{{ ns.l }}
{% generation %}{% set inside = 1 %}{{ inside }}{% endgeneration %}{{ inside }}
{% print i, f %}{% if i: %}colon{% endif %}
{% if i %}{% elif f %}{% else %}{% endif %}{% if nope.x is defined %}{% endif %}
{{ (nums|map('abs'))[0] }}|{{ nums|map('abs') is iterable }}{{ nums|map('abs') is sequence }}
{{ nums|map('abs')|length }}
{{ nums|map('abs')|last }}
{{ {'a': 1}['a':] }}
{{ [*nums] }}
{{ dict(**{'a': 1}) }}{{ '{}{}'.format(*[1, 2]) }}{{ range(*[1, 3])|list }}
{{ word is startingwith 'h' }}
{{ word|nosuch }}
{% nosuch %}
{% if yes %}
{{ i
{{ i }}}
{% for x in nums %}{% endif %}
{{ 1 +* 2 }}
{% set 5 = 1 %}
{{ 'abc }}
{% for loop in nums %}{% endfor %}
{{ [1, 2) }}
{% macro f(a=1, b) %}{% endmacro %}
{{ '\x4' }}
{% break %}
{% set none = 1 %}
{{ 5.real }}{{ '' }}
{{ "%.3f|%8.3e|%G|%#x|%o|% d|%i" % (1.0005, 123456, 1e-10, 255, 8, 5, 2.9) }}{{ '%.0f %.0f %.1f' % (0.5, 1.5, 0.25) }}{{ '%5d|%-5d|%05.1f' % (3, 3, 3.14159) }}{{ '%s' % (1,) }}{{ '%s %%' % 'x' }}{{ '%r %a' % ('é', 'é') }}
{{ '%s' % d }}{{ 'none' % [] }}{{ 'none' % {} }}
{{ 12345678901234567890 }}{{ 12345678901234567890 * 10 }}{{ 1e22|int }}{{ 5 // 0.3 }}{{ 5.5 // 1 }}{{ 0.1 * 3 }}{{ 1e308 * 10 }}{{ 100 * 1.1 }}
{{ '\t'|tojson }}{{ '\u2028'|tojson }}{{ '</script>'|tojson }}{{ "it's"|tojson }}{{ ''|tojson }}
{{ [yes, no, nil]|tojson }}{{ {'a': yes}|string }}{{ [yes, nil]|join(',') }}{{ yes|lower }}{{ nil|upper }}{{ i|string|length }}
{{ 'A-B_c d'.lower().replace(' ', '_').split('_')[-1].upper() }}{{ ('a', 'b')|join('+') }}{{ 'abc'[1]|upper }}{{ ('a' ~ 'b')|upper ~ 'c' }}
""",
}

# Templates of several lines, apart from the lists above, where each line is one.
BLOCKS = [
    ("values", "{%- for x in nums %}\n    {%- if x > 1 %}\n        {{- x }}\n    {%- else %}\n        {{- '-' }}\n    {%- endif %}\n{%- endfor %}\n"),
    ("values", "  {% for x in nums %}\n  * {{ x }}\n  {% endfor %}\nend\n\n"),
    ("values", "a\n\n  {% if yes %}\n  b\n  {% endif %}  \n  c {# d #}\n  {# e #}\n  f\n"),
    ("values", "{% if yes -%}\n   x\n{%- endif %}\r\ny\rz\n"),
    ("values", "  {%+ if yes %}\n  k\n  {%+ endif +%}\n  m\n"),
    ("values", "\t{% set x = 1 %}\n\t{{ x }}\n\t{%- set y = 2 -%}\n\t{{ y }}\n"),
    ("values", "{% raw %}\n  {{ kept }}\n{% endraw %}\n  x\n  {% raw %} {% y %} {% endraw %}\nz"),
    ("values", "{{ '''a''' }}{{ 'multi\nline' }}"),
    ("values", "{% set x = {\n  'a': 1,\n  'b': [2,\n 3]\n} %}\n{{ x }}\n"),
    ("values", "{% macro m(a) -%}\n  <{{ a }}>\n{%- endmacro %}\n\n{{ m(1) }}\n{% call m(2) %}x{% endcall %}"),
    ("values", "x {%- if yes %} y {%- endif -%} z\n{{- i }}\n\n{{ i -}}\n\nw"),
    ("plain", "{{ bos_token }}{% for m in messages %}{% if loop.first and m.role == 'system' %}{% set sys = m.content %}{% continue %}{% endif %}\n[{{ m.role | upper }}]\n{{ m.content | trim }}\n{% endfor %}{{ sys }}\n{% if add_generation_prompt %}[ASSISTANT]\n{% endif %}"),
    ("plain", "{%- set ns = namespace(last=-1) -%}\n{%- for m in messages[::-1] -%}\n  {%- set index = (messages|length - 1) - loop.index0 -%}\n  {%- if ns.last < 0 and m.role == 'user' and not(m.content is string and m.content.startswith('<r>')) -%}\n    {%- set ns.last = index -%}\n  {%- endif -%}\n{%- endfor -%}\n{{ ns.last }}"),
    ("plain", "{%- for m in messages %}\n{{- '<|' ~ m['role'] ~ '|>\\n' }}\n{%- if m.role == 'assistant' %}{% generation %}{{ m.content }}{% endgeneration %}\n{%- else %}{{ m.content }}{% endif %}\n{%- endfor %}\n{%- if add_generation_prompt %}{{ '<|assistant|>' }}{%- endif %}"),
    ("tools", "{%- macro value(v, level=0) -%}\n{%- if v is mapping -%}\n{ {%- for k, x in v|dictsort %}{{ k }}: {{ value(x, level + 1) }}{% if not loop.last %}, {% endif %}{% endfor -%} }\n{%- elif v is iterable and v is not string -%}\n[{% for x in v %}{{ value(x, level=level + 1) }}{{ ', ' if not loop.last }}{% endfor %}]\n{%- else -%}\n{{ v }}\n{%- endif -%}\n{%- endmacro -%}\n{{ value(tools) }}"),
    ("tools", "{% for m in messages %}\n{% if m.tool_calls %}\n{% for c in m.tool_calls %}\n{% set c = c.function if c.function is defined else c %}\n{\"name\": \"{{ c.name }}\", \"arguments\": {{ c.arguments | tojson }}}\n{% endfor %}\n{% endif %}\n{% endfor %}"),
]

NOW = datetime.datetime(2024, 2, 9, 17, 5, 3)


class FixedDatetime(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return NOW


def render(template, variables):
    variables = dict(variables)
    messages = chat_template_utils._normalize_chat_messages(variables.pop("messages"))
    rendered, _ = chat_template_utils.render_jinja_template(
        conversations=[messages],
        chat_template=template,
        tools=variables.pop("tools", None),
        documents=variables.pop("documents", None),
        add_generation_prompt=variables.pop("add_generation_prompt", False),
        **variables,
    )
    return rendered[0]


def main():
    chat_template_utils.datetime = FixedDatetime
    cases = [(name, line) for name, text in TEMPLATES.items() for line in text.strip("\n").split("\n")] + BLOCKS
    results = []
    for name, template in cases:
        case = {"set": name, "template": template}
        try:
            case["text"] = render(template, SETS[name])
            case["text"].encode()
        except UnicodeEncodeError:
            continue
        except jinja2.exceptions.TemplateSyntaxError as error:
            case["invalid"] = str(error)
        except Exception as error:
            case["error"] = {"kind": type(error).__name__, "message": str(error)}
        if " at 0x" in case.get("text", ""):
            raise SystemExit(f"the text of {template} holds an address")
        results.append(case)
    versions = {"transformers": transformers.__version__, "jinja2": jinja2.__version__}
    document = {"versions": versions, "now": NOW.isoformat(), "sets": SETS, "cases": results}
    json.dump(document, sys.stdout, ensure_ascii=True, indent=1)
    print()


main()
