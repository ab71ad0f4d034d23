"""What the MRISynth panel decides of checks, words and options, without Slicer or Qt."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fakes import write_test_bundle
from MRISynthLib import panel
from MRISynthLib.bundle_store import import_bundle, is_imported, remove_bundle
from MRISynthLib.bundles import FOLDERS_VARIABLE, find_bundle, find_bundles
from MRISynthLib.errors import BundleError, InputError
from MRISynthLib.panel import Findings, InputRow, Remark
from MRISynthLib.panel.words import SUGGESTIONS
from MRISynthLib.prompts import understand
from test_panels import T1W, T2W, Model

MODEL = Model(sequences_out=("T1w", "CE-T1w", "CE-T1w-FS", "STIR", "T2w"))

# ---------------------------------------------------------------------------- checks


def said(topic, text, serious=False):
    return {"topic": topic, "text": text, "serious": serious}


def test_a_volume_is_checked_once_and_again_when_it_changed():
    findings = Findings()
    states = {"1": "a", "2": "b"}
    assert findings.unchecked(states) == ("1", "2")
    findings.add_images(states, [[], [said("grey values", "Odd.")]])
    assert findings.unchecked(states) == ()
    assert findings.of("1") == () and findings.of("2") == (Remark("grey values", "Odd."),)
    assert findings.unchecked({"1": "a", "2": "changed"}) == ("2",)
    findings.unchecked({"2": "b"})
    assert findings.of("1") is None, "a volume that is gone is forgotten"


def test_remarks_on_the_inputs_together_join_those_on_each():
    findings = Findings()
    findings.add_images({"1": "a", "2": "b"}, [[], [said("grey values", "Odd.")]])
    assert not findings.studied("ab")
    findings.add_study("ab", ["1", "2"], [[], [said("no overlap", "Far away.", serious=True)]])
    assert findings.studied("ab") and not findings.studied("ac")
    assert [remark.topic for remark in findings.of("2")] == ["grey values", "no overlap"]
    assert panel.serious_problem((T1W, T2W), findings) == "Far away."
    assert panel.serious_problem((T1W,), findings) == ""
    rows = (T1W, T2W)
    wish = panel.understand_targets(["CE-T1w"], "", rows, Model())
    assert panel.why_disabled(rows, rows, wish, Model(), found="Far away.") == "Far away."
    findings.forget_study()
    assert panel.serious_problem((T1W, T2W), findings) == ""


def test_checks_are_said_in_words():
    broken = InputRow("6", "scout", problem="scout has no voxels; load it again.")
    assert panel.check_words(broken, (), False) == ("cannot be used", broken.problem)
    assert panel.check_words(T1W, None, True)[0] == "checking ..."
    assert panel.check_words(T1W, None, False)[0] == "not checked"
    assert panel.check_words(T1W, (), False)[0] == "\u2713 good"
    remarks = (Remark("coverage", "Thin."), Remark("no overlap", "Far.", serious=True))
    assert panel.check_words(T1W, remarks, False) == ("\u26a0 no overlap, coverage", "Thin.\nFar.")


def test_the_first_remarks_are_read_out_and_the_rest_counted():
    findings = Findings()
    texts = [said("t", f"Remark {n}.") for n in range(4)]
    findings.add_images({"1": "a"}, [[*texts, said("t", "In the way.", serious=True)]])
    lines = panel.remarks_in_words((T1W,), findings).split("\n")
    assert lines[:3] == ["Remark 0.", "Remark 1.", "Remark 2."] and lines[3].startswith("1 more")
    assert panel.remarks_in_words((T2W,), findings) == ""


# ------------------------------------------------------------------- words and targets


def test_words_for_one_target_join_those_for_all():
    wish = panel.understand_targets(
        ["CE-T1w", "STIR"], "3T", [T1W], MODEL, own={"STIR": "TI 160 ms", "T2w": "unticked"}
    )
    assert wish.targets == (("CE-T1w", "3T"), ("STIR", "3T, TI 160 ms"))
    assert "TI 160 ms" in wish.meanings[1].text and "TI" not in wish.meanings[0].text


def test_each_of_several_targets_has_its_own_line_and_one_alone_only_with_words():
    assert panel.own_lines(("CE-T1w", "STIR"), {}) == ("CE-T1w", "STIR")
    assert panel.own_lines(("CE-T1w",), {}) == ()
    assert panel.own_lines(("CE-T1w",), {"CE-T1w": "3T", "STIR": "1.5T"}) == ("CE-T1w",)


def choices(understanding):
    return [each for meaning in understanding.meanings for each in meaning.alternatives]


def test_words_without_meaning_are_answered_with_names_to_choose():
    wish = panel.understand_targets([], "stirr please", [T1W], MODEL)
    first = choices(wish)[0]
    assert (first.label, first.ticked, first.prompt) == ("STIR", ("STIR",), "")
    assert len(choices(wish)) <= 3 and "T1w" not in [each.label for each in choices(wish)]


def test_every_choice_that_is_offered_is_understood():
    asked = (
        ([], "stirr please", {}),
        (["CE-T1w"], "blue elephants", {}),
        (["CE-T1w"], "STIR at 3T", {}),
        (["CE-T1w", "STIR"], "T2 please", {"STIR": "TI 160 ms"}),
        (["CE-T1w", "STIR"], "3T", {"STIR": "with gadolinium"}),
        (["CE-T1w", "STIR"], "TR 500", {"STIR": "TR 4000"}),
        ([], "T1", {}),
        ([], "DWI", {}),
    )
    for ticked, prompt, own in asked:
        wish = panel.understand_targets(ticked, prompt, [T1W], MODEL, own)
        assert wish.problem and choices(wish), (ticked, prompt)
        for choice in choices(wish):
            then = panel.understand_targets(choice.ticked, choice.prompt, [T1W], MODEL, choice.own)
            assert then.targets and not then.problem, (prompt, choice)
        for meaning in wish.meanings:
            labels = [choice.label for choice in meaning.alternatives]
            assert len(set(labels)) == len(labels) <= 3, "each is offered once"


def test_a_prompt_for_another_sequence_can_become_the_target_with_its_words():
    wish = panel.understand_targets(["CE-T1w"], "STIR at 3T", [T1W], MODEL)
    other, same = choices(wish)[:2]
    assert (other.label, other.ticked, other.prompt) == ("STIR", ("STIR",), "STIR at 3T")
    assert (same.ticked, same.prompt) == (("CE-T1w",), "")
    assert same.label == "CE-T1w without these words"


def test_words_that_deny_what_the_target_is_name_the_target_without_it():
    wish = panel.understand_targets(["CE-T1w"], "without contrast", [], MODEL)
    assert choices(wish)[0].ticked == ("T1w",)


def test_what_cannot_be_made_is_not_recommended_as_the_target():
    refused = {
        "FLAIR at 3T": "cannot make FLAIR",
        "T1 without contrast": "among the inputs",
        "without contrast": "T1w is already among the inputs",
    }
    for words, why in refused.items():
        wish = panel.understand_targets(["CE-T1w"], words, [T1W], MODEL)
        assert f"'{words}' asks for" in wish.problem and why in wish.problem
        assert "as the target or" not in wish.problem and choices(wish)


def test_only_the_words_at_fault_go():
    wish = panel.understand_targets(
        ["CE-T1w", "STIR"], "3T", [T1W], MODEL, {"STIR": "with gadolinium"}
    )
    kept = next(each for each in choices(wish) if each.label.startswith("STIR without"))
    assert kept.ticked == ("CE-T1w", "STIR") and kept.prompt == "3T" and not kept.own


def test_history_keeps_each_prompt_once_and_the_latest_first():
    history = panel.with_new(["STIR", "3T"], ["3T", "", " 1.5T "])
    assert history == ["3T", "1.5T", "STIR"]
    assert panel.remembered(panel.to_save(["增强T1", "3T"])) == ["增强T1", "3T"]
    assert panel.remembered("no list") == panel.remembered('{"a": 1}') == []
    assert len(panel.with_new([], map(str, range(99)))) == 20


def test_what_is_suggested_is_understood_and_fits_the_targets():
    for text in SUGGESTIONS:
        try:
            understand(text)
        except InputError:
            understand(text, "CE-T1w")
    offered = panel.completions(["my own"], ["CE-T1w"])
    assert offered[0] == "my own" and "3T" in offered and "STIR, 1.5T, TI 160 ms" not in offered
    assert all(understand(text) for text in panel.completions([]))


# --------------------------------------------------------------------------- options


def test_devices_are_called_by_name_with_their_free_memory():
    devices = [
        {"name": "cuda:0", "label": "RTX 4090", "free_mb": 20480, "total_mb": 24576},
        {"name": "cpu", "label": "Zen", "free_mb": 8192, "total_mb": 16384},
    ]
    words = dict(panel.device_choices(devices, "auto"))
    assert words["auto"] == "Automatic: 20.0 of 24.0 GB free, RTX 4090"
    assert words["cpu"] == "8.0 of 16.0 GB free, Zen"
    assert "not on this machine" in dict(panel.device_choices(devices, "cuda:3"))["cuda:3"]
    assert dict(panel.device_choices(None, "mps"))["mps"] == "mps"
    assert "RTX" in dict(panel.device_choices(devices, "cuda"))["cuda"]


def test_the_card_says_what_a_user_must_know(tmp_path):
    bundle = write_test_bundle(tmp_path / "b")
    card = panel.card_html(bundle)
    for heading in ("Trained on", "Measured quality", "Licence", "Intended use"):
        assert f"<b>{heading}:</b>" in card
    figures = {"T1w -> <STIR>": {"network": {"body": {"MAE": 0.05, "SSIM": 0.7123}}}, "x": 3}
    about = {"quality": {"Simulated": {"cases": 4, "figures": figures}}, "licence": ""}
    card = panel.card_html(replace(bundle, metadata=about))
    assert "Simulated (4)" in card and "T1w -&gt; &lt;STIR&gt;: MAE 0.050, SSIM 0.71" in card
    assert "Licence" not in card


def test_the_shipped_models_card_has_figures():
    model = next(b for b in find_bundles("synthesis") if not is_imported(b))
    assert "SSIM" in panel.card_html(model)


def test_the_model_that_was_chosen_is_taken_and_else_the_first():
    models = [Model(name="a"), Model(name="b")]
    assert panel.chosen_model(models, "b").name == "b"
    assert panel.chosen_model(models, "gone").name == "a" and panel.chosen_model([], "a") is None


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("MRISYNTH_IMPORTED", str(tmp_path / "imported"))
    monkeypatch.setenv(FOLDERS_VARIABLE, "")
    return tmp_path / "imported"


def test_an_imported_model_is_found_and_can_be_removed_again(tmp_path, store):
    source = write_test_bundle(tmp_path / "mine")
    bundle = import_bundle(source.folder, "synthesis")
    assert is_imported(bundle) and bundle.hash == source.hash
    assert find_bundle("TestSynthesis").folder == bundle.folder
    with pytest.raises(BundleError, match="imported already; remove it first"):
        import_bundle(source.folder)
    remove_bundle(bundle)
    assert not list(store.iterdir()) and source.folder.is_dir()


def test_a_changed_model_is_not_imported_and_a_shipped_one_stays(tmp_path, store):
    source = write_test_bundle(tmp_path / "mine")
    with pytest.raises(BundleError, match="is for synthesis, not for segmentation"):
        import_bundle(source.folder, "segmentation")
    (source.folder / "configs" / "inference.json").write_text("{}", encoding="utf-8")
    with pytest.raises(BundleError, match="was changed"):
        import_bundle(source.folder)
    assert not store.exists() or not list(store.iterdir())
    shipped = next(b for b in find_bundles("synthesis") if not is_imported(b))
    with pytest.raises(BundleError, match="shipped with MRISynth and stays"):
        remove_bundle(shipped)
    assert shipped.folder.is_dir()
