"""An `Answer` at the end of a cell."""


def test_an_answer_is_shown_once_in_each_cell(echoing, capsys):
    echoing.run_cell("%%swiftask echo ans =<<\nhello", store_history=True)
    assert capsys.readouterr().out.count("hello\necho · ") == 1

    echoing.run_cell("ans", store_history=True)
    assert capsys.readouterr().out.count("hello\necho · ") == 1


def test_after_unloading_an_answer_is_shown_as_any_object(echoing, capsys):
    echoing.run_cell("%%swiftask echo ans <<\nhello")
    echoing.run_line_magic("unload_ext", "swiftask_jupyter")
    capsys.readouterr()

    echoing.run_cell("ans")

    assert "echo · " not in capsys.readouterr().out
    echoing.run_line_magic("load_ext", "swiftask_jupyter")
