"""require_package: when it looks, what it says, what it leaves as it was."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path
from typing import Any

import pytest
from dioptra.sdk.exceptions import ARTDependencyError, TensorflowDependencyError
from dioptra.sdk.exceptions.base import BaseOptionalDependencyError
from dioptra.sdk.utilities.decorators import require_package


def test_calls_the_function_when_the_package_is_there() -> None:
    @require_package("json")
    @require_package("xml.etree", exc_type=ARTDependencyError)
    def double(value: int, *, times: int = 2) -> int:
        """Say what it does."""
        return value * times

    assert double(3) == 6
    assert double(value=3, times=3) == 9
    assert str(inspect.signature(double)) == "(value: 'int', *, times: 'int' = 2) -> 'int'"
    assert double.__doc__ == "Say what it does."
    with pytest.raises(TypeError, match="missing a required argument"):
        inspect.signature(double).bind()


@pytest.mark.parametrize(
    ("package", "install"),
    [
        ("art", "adversarial-robustness-toolbox"),
        ("cv2", "opencv-python"),
        ("PIL.Image", "Pillow"),
        ("sklearn.metrics", "scikit-learn"),
        ("yaml", "PyYAML"),
        ("tensorflow", "tensorflow"),
    ],
)
def test_names_package_function_and_what_to_install(
    package: str, install: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)

    @require_package(package, exc_type=TensorflowDependencyError)
    def train() -> None:
        raise AssertionError("must not be called")

    with pytest.raises(TensorflowDependencyError) as raised:
        train()
    assert str(raised.value).startswith(f"train needs the package '{package}', which is not installed")
    assert str(raised.value).endswith(f"pip install {install}")
    assert sys.executable in str(raised.value)
    assert isinstance(raised.value.__cause__, ImportError)


def test_looks_when_it_is_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    @require_package("comes_later_xyz")
    def use() -> str:
        return "used"

    with pytest.raises(BaseOptionalDependencyError, match="comes_later_xyz"):
        use()
    (tmp_path / "comes_later_xyz.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    assert use() == "used"
    monkeypatch.setitem(sys.modules, "comes_later_xyz", None)
    with pytest.raises(BaseOptionalDependencyError):
        use()


def test_a_package_that_cannot_be_imported_counts_as_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "half_installed_xyz.py").write_text("import not_there_at_all_xyz")
    monkeypatch.syspath_prepend(tmp_path)

    @require_package("half_installed_xyz")
    def use() -> None: ...

    with pytest.raises(
        BaseOptionalDependencyError,
        match=r"cannot be imported \(No module named 'not_there_at_all_xyz'\)",
    ):
        use()


def test_errors_of_the_function_stay_what_they_are() -> None:
    @require_package("json")
    def fails() -> None:
        raise ModuleNotFoundError("inside")

    with pytest.raises(ModuleNotFoundError, match=r"^inside$"):
        fails()


def test_own_message() -> None:
    @require_package("not_there_at_all_xyz", "Ask Kim for the package.")
    def use() -> None: ...

    with pytest.raises(BaseOptionalDependencyError, match=r"^Ask Kim for the package\.$"):
        use()


def test_the_outer_of_two_speaks_first() -> None:
    @require_package("not_there_a_xyz", exc_type=ARTDependencyError)
    @require_package("not_there_b_xyz", exc_type=TensorflowDependencyError)
    def use() -> None: ...

    with pytest.raises(ARTDependencyError, match="use needs the package 'not_there_a_xyz'"):
        use()


def test_an_object_that_can_be_called() -> None:
    class Task:
        def __call__(self, value: int) -> Any:
            return value + 1

    assert require_package("json")(Task())(1) == 2
