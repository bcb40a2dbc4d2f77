"""`make cases` runs every program of a folder."""

from __future__ import annotations

from pathlib import Path

from tests.cases import main

PROGRAM = "import os, sys\nfrom lib import CODE\nassert os.path.exists(os.environ['IMGSYNC_PYTHON']) and os.environ['IMGSYNC_BIN'].endswith('imgsync')\n"


def _write(folder: Path, **programs: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in programs.items():
        (folder / f"{name}.py").write_text(text)


def test_cases_fail_if_one_program_fails(tmp_path, capsys):
    """Each prints a line; the support files are not run."""
    _write(tmp_path / "a", lib="CODE = 0\nassert __name__ == 'lib'\n", _shared="raise SystemExit(9)", good=PROGRAM)
    assert main([str(tmp_path)]) == 0
    _write(tmp_path / "b", bad="print('before')\nprint('the last line')\nraise SystemExit(1)\n")

    assert main([str(tmp_path)]) == 1

    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["ok", "1", "ok", "exit", "1"]
    assert lines[3].endswith("b/bad.py: the last line")


def test_cases_need_a_folder_with_programs(tmp_path, capsys):
    """No folder is the default."""
    assert [main([]), main([str(tmp_path)])] == [2, 2]
    assert "usage: make cases CASES=FOLDER" in capsys.readouterr().err
