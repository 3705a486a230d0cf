"""What a cell shows becomes one result that a client of Livy's can show."""

from __future__ import annotations

from emberhub_driver.cells import Cells, compose

PNG, SVG, HTML, TEXT, JSON = "image/png", "image/svg+xml", "text/html", "text/plain", "application/json"


def test_one_thing_is_shown_as_it_is_and_several_in_one_page() -> None:
    assert compose([]) == {TEXT: ""}
    assert compose([{TEXT: "a\n"}]) == {TEXT: "a"}
    assert compose([{TEXT: "a\n"}, {TEXT: "2"}]) == {TEXT: "a\n2"}
    assert compose([{TEXT: "<Figure>", PNG: "iVBO"}]) == {TEXT: "<Figure>", PNG: "iVBO"}
    assert compose([{TEXT: "t", HTML: "<b>t</b>"}]) == {TEXT: "t", HTML: "<b>t</b>"}
    assert compose([{TEXT: "{}", JSON: {"a": 1}}]) == {TEXT: "{}", JSON: {"a": 1}}
    both = compose([{TEXT: "1 < 2\n"}, {TEXT: "<Figure>", PNG: "iVBO\n"}, {TEXT: "", SVG: "<svg/>"}])
    assert both[HTML] == '<pre>1 &lt; 2\n</pre>\n<img alt="" src="data:image/png;base64,iVBO">\n<svg/>'
    assert PNG not in both


def test_cells_run_as_in_a_notebook() -> None:
    cells = Cells({"spark": "a session"})
    try:
        assert cells.run("spark").data == {TEXT: "'a session'"}
        assert cells.run("print('a')\nb = 2\nb").data == {TEXT: "a\n2"}
        assert cells.run("b;").data == {TEXT: ""}
        assert cells.run("from IPython.display import HTML\nHTML('<i>x</i>')").data[HTML] == "<i>x</i>"  # type: ignore[index]
        failed = cells.run("print('lost')\n1/0")
        assert (failed.status, failed.ename, failed.evalue) == ("error", "ZeroDivisionError", "division by zero")
        assert "1/0" in "".join(failed.traceback or ())
        assert cells.run("def").ename == "SyntaxError"
        assert cells.run("b").data == {TEXT: "2"}
        large = cells.run("for _ in range(30): print('x' * 100000)")
        assert (large.ename, large.status) == ("TooLarge", "error")
        assert cells.run("b").data == {TEXT: "2"}
    finally:
        type(cells._shell).clear_instance()
