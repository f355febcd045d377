"""Which stored conversation a notebook continues: after a restart, renamed, copied, replaced."""

from tests.support.notebooks import Page


def test_a_restarted_kernel_still_knows(page):
    page.run("c1", "one")
    page.restart()
    page.run("c2", "two")

    assert page.sent() == ["one", "two"]


def test_another_notebook_knows_nothing_of_it(page, box, tmp_path):
    page.run("c1", "one")
    other = Page(box, tmp_path / "other.ipynb")
    other.run("c1", "two")

    assert other.sent() == ["two"]
    other.close()


def test_numbers_of_a_copy_go_on_from_what_it_was_copied_with(page, box, tmp_path):
    page.run("c1", "one")
    page.save(["c1"], sessions=["main"])
    (tmp_path / "copy.ipynb").write_bytes(page.path.read_bytes())
    copy = Page(box, tmp_path / "copy.ipynb")

    numbers = [copy.run("c2", "two", history=False).reply.number, copy.run("c3", "3").reply.number]

    assert numbers == [2, 3]
    copy.close()


def test_a_renamed_notebook_finds_its_conversation(page, tmp_path):
    page.save([], later=-60)  # as a server makes one
    page.run("c1", "one")
    page.save(["c1", "c2", "c3"], sessions=["main"])
    renamed = page.path.rename(tmp_path / "renamed.ipynb")

    page.run("c2", "two")  # the kernel runs on, and knows the old name only
    assert page.sent() == ["one", "two"]
    page.restart(renamed)
    page.run("c3", "three")

    assert page.sent() == ["one", "two", "three"]
    page.restart()
    assert page.held() == ["one", "two", "three"]


def test_a_copy_goes_on_by_itself_from_what_it_was_copied_with(page, box, tmp_path):
    page.run("c1", "one")
    page.save(["c1", "c2"], sessions=["main"])
    (tmp_path / "copy.ipynb").write_bytes(page.path.read_bytes())
    copy = Page(box, tmp_path / "copy.ipynb")
    copy.run("c2", "copied two")
    page.run("c2", "two")
    copy.run("c1", "ONE")

    assert copy.sent() == ["ONE"]
    assert copy.held() == ["ONE", "copied two"]
    assert page.held() == ["one", "two"]
    assert copy.client.session().id != page.client.session().id
    copy.close()


def test_another_file_at_an_old_path_begins_another_conversation(page):
    page.run("c1", "one")
    page.restart()
    page.save(["unheard-of"])
    page.restart()

    page.run("unheard-of", "two")

    assert page.sent() == ["two"]


def test_a_notebook_that_was_not_saved_since_keeps_its_conversation(page):
    page.save(["c0"], later=-60)
    page.run("c1", "one")
    page.restart()

    assert page.held() == ["one"]
