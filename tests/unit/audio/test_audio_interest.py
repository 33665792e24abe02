"""The labels of interest: the official grammar, and errors that help."""

import pytest
from labelbus_audio.audioset import labels
from labelbus_audio.errors import LabelsError
from labelbus_audio.interest import described, parse_labels


def test_every_audioset_label_stands_for_itself() -> None:
    """All 527, those with parentheses and commas included."""
    assert len(labels()) == len(set(labels())) == 527
    for label in labels():
        assert parse_labels(label) == {label.lower(): label.lower()}


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("speech\nmusic", {"speech": "speech", "music": "music"}),
        (r"Speech\nMusic", {"speech": "speech", "music": "music"}),
        ("Male speech, man speaking (Talk)", {"male speech, man speaking": "talk"}),
        ("Jingle (music)", {"jingle (music)": "jingle (music)"}),
        ("Jingle (music) (Ad)", {"jingle (music)": "ad"}),
        ("  speech ( a b ) trailing", {"speech": "a b"}),
        ("speech (a)\nmusic (a)", {"speech": "a", "music": "a"}),
        ("speech (a)\nspeech (b)", {"speech": "b"}),
        ("\nspeech\n \nmusic\n", {"speech": "speech", "music": "music"}),
    ],
)
def test_lines_are_read_as_officially(text: str, wanted: dict[str, str]) -> None:
    """One label per line, new names in the last parentheses, everything in lower case."""
    assert parse_labels(text) == wanted


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("speech\nspech", "line 2: AudioSet has no label 'spech'. Did you mean 'Speech'"),
        ("barking", "line 1: AudioSet has no label 'barking'. Did you mean 'Bark'"),
        ("speech, music", "commas separate none"),
        ("speach,music", "commas separate none"),
        ("Male speech, man speakin", "Did you mean 'Male speech, man speaking'"),
        ("speach (talk)", "Did you mean 'Speech'"),
        ("zzzzqq", "research.google.com/audioset"),
        ("speech ()", "hold no new name"),
        ("  ", "no label is named"),
        (")speech(", "has no label"),
    ],
)
def test_errors_name_the_line_and_the_nearest(text: str, said: str) -> None:
    """A label that does not exist is named with its line and what was likely meant."""
    with pytest.raises(LabelsError) as caught:
        parse_labels(text)
    assert said in str(caught.value)


def test_the_metadata_text_is_the_official_one() -> None:
    """`ast_labels` lists labels, with new names in parentheses."""
    wanted = parse_labels("Speech (talk)\nJingle (music)")
    assert described(wanted) == "speech (talk), jingle (music)"
