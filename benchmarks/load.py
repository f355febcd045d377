"""CPU of loading the extension, over a bare IPython, beside what others load.

Target: `%load_ext swiftask_jupyter` costs at most 0.05 s.
"""

from _measure import child_cpu, interleaved, median, table

SHELL = "from IPython.core.interactiveshell import InteractiveShell as S; s = S.instance()\n"
CASES = {
    "bare IPython": SHELL,
    "%load_ext swiftask_jupyter": SHELL + "s.run_line_magic('load_ext', 'swiftask_jupyter')",
    "import openai": SHELL + "import openai",
    "%load_ext jupyter_ai_magics": SHELL + "s.run_line_magic('load_ext', 'jupyter_ai_magics')",
}
ROUNDS = 7


def main() -> None:
    """Measure and print."""
    runs = {name: lambda code=code: child_cpu(code) for name, code in CASES.items()}
    taken = interleaved(runs, ROUNDS)
    bare = median(taken["bare IPython"])
    ours = median(taken["%load_ext swiftask_jupyter"]) - bare
    rows = []
    for name, values in taken.items():
        over = median(values) - bare
        ratio = f"{over / ours:.0f}" if over and ours > 0 else "-"
        rows.append([name, f"{median(values):.3f}", f"{over:.3f}", ratio])
    table(
        f"Loading: CPU seconds, median of {ROUNDS} interleaved runs",
        ["", "whole process", "over bare", "times ours"],
        rows,
    )


if __name__ == "__main__":
    main()
