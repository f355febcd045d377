"""The text of a cell reaches the magic unchanged."""

import pytest


@pytest.mark.parametrize("before", ["", "\n\n", "  "])
def test_the_text_of_a_cell_reaches_the_magic_unchanged(connected, before):
    body = 'a\n\n>>> x = 1\n... y\nIn [1]: z\n\'quotes\' """ \\n'

    connected.run_cell(f"{before}%%swiftask echo ans <<\n{body}")

    assert connected.user_ns["ans"].text == body


def test_a_cell_that_is_being_typed_is_complete_after_a_blank_line(connected):
    typed = connected.input_transformer_manager.check_complete

    assert typed("%%swiftask echo\n")[0] == "incomplete"
    assert typed("%%swiftask echo\nhello\n")[0] == "incomplete"


@pytest.mark.parametrize("cell", ["x = 1\n", "%%time\nx\n", "%%swiftasks\nx\n", ""])
def test_other_cells_are_left_to_ipython(shell, cell):
    [transform, *_] = shell.input_transformers_cleanup

    assert transform(cell.splitlines(keepends=True)) == cell.splitlines(keepends=True)
