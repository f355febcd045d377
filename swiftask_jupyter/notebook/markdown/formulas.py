r"""Finds formulas in Markdown, and decides which formulas MathJax may draw.

Formulas are `$x$`, `$$x$$`, `\(x\)` and `\[x\]`. Some MathJax commands are not safe: `\href` can
link to scripts, `\bbox` can load files, `\style` can change styles, and `\def` can change formulas
in other cells. Therefore MathJax draws a formula only if all its commands are in the list of
allowed commands. Any other formula is displayed as source text.

Some text only looks like a formula, such as the price $5. The HTML tells MathJax to process only
the formulas that this module has found.
"""

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from markdown_it.rules_block import StateBlock
    from markdown_it.rules_inline import StateInline

MAX_FORMULA = 2000  # characters
MAX_BRACE_DEPTH = 40

_CLOSERS = {"$": "$", "$$": "$$", "\\(": "\\)", "\\[": "\\]"}
_UP_TO_CLOSER = {
    "$": re.compile(r"[^\\$]*(?:\\.[^\\$]*)*\$", re.DOTALL),
    "$$": re.compile(r"(?:[^\\$]|\\.|\$(?!\$))*?\$\$", re.DOTALL),
    "\\(": re.compile(r"(?:[^\\]|\\[^)])*?\\\)", re.DOTALL),
    "\\[": re.compile(r"(?:[^\\]|\\[^\]])*?\\\]", re.DOTALL),
}
_COMMAND = re.compile(r"\\([A-Za-z]+|.)?(?:(?=\s*\{([^{}]*)\}))?", re.DOTALL)
# Not allowed: a negative or huge row distance, which would draw over other parts of the page.
# Options of \cancel are not allowed either.
_UNSAFE = re.compile(r"\\\\\s*\*?\s*\[\s*(?:-|[\d.]{3})|cancel(?:to)?\s*\[")
_PUNCTUATION = frozenset(",;:!>|{}%&#_$\\ \n()[]-.'`^~=/\"")
_ENVIRONMENTS = frozenset(
    """
    align alignat aligned alignedat array bmatrix Bmatrix cases dcases equation gather gathered
    matrix multline pmatrix smallmatrix split subarray vmatrix Vmatrix
    """.split()  # noqa: SIM905 - a list of words reads best as words
)
_COMMANDS = frozenset(
    """
    alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi omicron pi rho sigma
    tau upsilon phi chi psi omega varepsilon vartheta varpi varrho varsigma varphi varkappa
    digamma Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega aleph beth gimel daleth
    hbar hslash imath jmath ell wp Re Im partial infty prime emptyset varnothing nabla surd top
    bot angle triangle forall exists nexists neg lnot flat natural sharp clubsuit diamondsuit
    heartsuit spadesuit complement eth Finv Game Bbbk backslash measuredangle sphericalangle
    blacksquare square Box Diamond lozenge blacklozenge bigstar star checkmark dagger ddagger dag
    ddag maltese S P copyright circledR yen pounds degree sum prod coprod int iint iiint iiiint
    oint oiint idotsint bigcap bigcup bigsqcup bigvee bigwedge bigodot bigotimes bigoplus biguplus
    intop smallint pm mp times div cdot ast circ bullet bigcirc cap cup uplus sqcap sqcup vee
    wedge lor land setminus smallsetminus wr amalg diamond oplus ominus otimes oslash odot
    bigtriangleup bigtriangledown triangleleft triangleright ltimes rtimes leftthreetimes
    rightthreetimes boxplus boxminus boxtimes boxdot circledast circledcirc circleddash dotplus
    divideontimes Cap Cup barwedge veebar doublebarwedge curlyvee curlywedge intercal centerdot le
    leq ge geq ne neq lt gt equiv sim simeq approx cong propto ll gg lll ggg prec succ preceq
    succeq subset supset subseteq supseteq subsetneq supsetneq nsubseteq nsupseteq sqsubset
    sqsupset sqsubseteq sqsupseteq in ni owns notin not vdash dashv models perp mid nmid parallel
    nparallel bowtie Join asymp doteq doteqdot smile frown leqslant geqslant leqq geqq lesssim
    gtrsim lessapprox gtrapprox lessgtr gtrless approxeq thicksim thickapprox backsim triangleq
    trianglelefteq trianglerighteq vartriangle vartriangleleft vartriangleright coloneqq eqqcolon
    Vdash vDash Vvdash nvdash nvDash therefore because between pitchfork multimap nless ngtr nleq
    ngeq nsim ncong precsim succsim precapprox succapprox circeq bumpeq Bumpeq eqcirc risingdotseq
    fallingdotseq to gets mapsto longmapsto leftarrow rightarrow leftrightarrow Leftarrow
    Rightarrow Leftrightarrow longleftarrow longrightarrow longleftrightarrow Longleftarrow
    Longrightarrow Longleftrightarrow iff implies impliedby uparrow downarrow updownarrow Uparrow
    Downarrow Updownarrow nearrow searrow swarrow nwarrow hookleftarrow hookrightarrow
    leftharpoonup leftharpoondown rightharpoonup rightharpoondown rightleftharpoons
    leftrightharpoons leadsto rightsquigarrow leftrightarrows rightleftarrows rightrightarrows
    leftleftarrows upuparrows downdownarrows nrightarrow nleftarrow nRightarrow nLeftarrow
    nLeftrightarrow curvearrowleft curvearrowright circlearrowleft circlearrowright
    twoheadrightarrow twoheadleftarrow rightarrowtail leftarrowtail dashrightarrow dashleftarrow
    xrightarrow xleftarrow Lsh Rsh left right middle big Big bigg Bigg bigl Bigl biggl Biggl bigr
    Bigr biggr Biggr bigm Bigm biggm Biggm lbrace rbrace lbrack rbrack langle rangle lfloor rfloor
    lceil rceil lvert rvert lVert rVert vert Vert lgroup rgroup lmoustache rmoustache ulcorner
    urcorner llcorner lrcorner frac dfrac tfrac cfrac binom dbinom tbinom choose over sqrt root
    stackrel overset underset overline underline overbrace underbrace overrightarrow overleftarrow
    overleftrightarrow underrightarrow underleftarrow hat widehat check tilde widetilde acute
    grave dot ddot dddot ddddot breve bar vec mathring substack sideset boxed cancel bcancel
    xcancel cancelto pod pmod bmod mod phantom hphantom vphantom limits nolimits displaystyle
    textstyle scriptstyle scriptscriptstyle begin end quad qquad enspace enskip thinspace hfill
    hline hdashline cr nonumber notag operatorname mathop mathbin mathrel mathord mathopen
    mathclose mathpunct mathinner mathrm mathbf mathit mathsf mathtt mathcal mathscr mathfrak
    mathbb mathnormal boldsymbol bm pmb rm bf it sf tt cal frak Bbb text textrm textbf textit
    textsf texttt textnormal mbox ce dots ldots cdots vdots ddots dotsb dotsc dotsi dotsm dotso
    colon bra ket braket Bra Ket Braket sin cos tan cot sec csc sinh cosh tanh coth arcsin arccos
    arctan arg deg det dim exp gcd hom inf ker lg lim liminf limsup ln log max min Pr sup injlim
    projlim varlimsup varliminf
    """.split()  # noqa: SIM905 - one name a line would fill pages
)


def is_harmless(formula: str) -> bool:
    """Return whether a formula is safe to draw.

    All commands of a safe formula are in the list of allowed commands. The length and the nesting
    of a safe formula are limited.
    """
    if len(formula) > MAX_FORMULA or _UNSAFE.search(formula):
        return False
    depth = 0
    for brace in re.findall(r"[{}]", re.sub(r"\\.", "", formula, flags=re.DOTALL)):
        depth += 1 if brace == "{" else -1
        if not 0 <= depth <= MAX_BRACE_DEPTH:
            return False
    return depth == 0 and all(_is_allowed(command) for command in _COMMAND.finditer(formula))


def inline_formula(state: "StateInline", silent: bool) -> bool:  # noqa: FBT001 - markdown-it's own signature
    """Parse a formula within a line.

    markdown-it calls this parser rule. The result says whether a formula begins at the current
    position. The rule runs before the rules for escapes and emphasis, which would change the
    backslashes and underscores of the formula.
    """
    source, start, end = state.src, state.pos, state.posMax
    opener = source[start : start + 2]
    if opener[:1] == "$" and opener != "$$":
        opener = "$"
    if opener not in _CLOSERS:
        return False
    inside = start + len(opener)
    close = _find_closer(source, opener, inside, min(end, inside + MAX_FORMULA))
    if close < 0 or "`" in source[inside:close]:  # the formula would cut a code span in two
        return False
    stop = close + len(opener)
    if opener == "$" and not _reads_as_formula(source[inside:close], source[stop : stop + 1]):
        return False
    if not silent:
        state.push("formula", "", 0).content = source[start:stop]
    state.pos = stop
    return True


def formula_block(state: "StateBlock", start: int, end: int, silent: bool) -> bool:  # noqa: FBT001 - markdown-it's own signature
    r"""Parse a formula that starts with a line of only `$$` or `\[`.

    markdown-it calls this parser rule for the lines from `start` to `end`. The result says whether
    the line `start` begins a formula. The formula ends with the first line that ends with the
    closing delimiter. If an empty line comes first, the text up to the empty line becomes plain
    text.
    """
    if state.is_code_block(start):
        return False
    opener = state.src[state.bMarks[start] + state.tShift[start] : state.eMarks[start]].strip()
    if opener not in ("$$", "\\["):
        return False
    if silent:
        return True
    line, closed = start + 1, False
    while line < end and not closed:
        first = state.bMarks[line] + state.tShift[line]
        if state.isEmpty(line) or state.sCount[line] < state.blkIndent:
            break
        closed = state.src[first : state.eMarks[line]].rstrip().endswith(_CLOSERS[opener])
        line += 1
    state.line = line
    token = state.push("formula_block" if closed else "plain", "", 0)
    token.map = [start, line]
    token.content = state.getLines(start, line, state.blkIndent, keepLastLF=False).strip()
    return True


def _is_allowed(found: re.Match[str]) -> bool:
    command, argument = found[1], found[2]
    if command in ("begin", "end"):
        return (argument or "").rstrip("*") in _ENVIRONMENTS
    return command in _COMMANDS or command in _PUNCTUATION


def _find_closer(source: str, opener: str, start: int, end: int) -> int:
    """Return the index of the first unescaped closing delimiter.

    The result is -1 if there is no closing delimiter, or if the formula is empty.
    """
    closer = _CLOSERS[opener]
    if source.find(closer, start, end) < 0:  # a cheap exit for a flood of opening delimiters
        return -1
    found = _UP_TO_CLOSER[opener].match(source, start, end)
    close = found.end() - len(closer) if found else -1
    return close if close > start else -1


def _reads_as_formula(inside: str, after: str) -> bool:
    """Return whether the text between two `$` is a formula and not part of a price.

    The rule is Pandoc's rule. White space must not follow the first `$` or precede the second `$`.
    A digit must not follow the second `$`. For example, "$5 and $6" contains no formula.

    Args:
        inside: the text between the two `$`.
        after: the character after the second `$`; empty at the end of the text.
    """
    return not inside[0].isspace() and not inside[-1].isspace() and not after.isdigit()
